using System.IO.Enumeration;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>A shard's file in a cache folder.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Shard">The shard, by the file's name.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="UsedAt">When it was last used, to the minute.</param>
internal readonly record struct CachedFile(string Path, Digest Shard, long Bytes, DateTimeOffset UsedAt)
{
    private static readonly EnumerationOptions Walk = new()
    {
        RecurseSubdirectories = true,
        MaxRecursionDepth = 1,
        AttributesToSkip = FileAttributes.ReparsePoint,
        IgnoreInaccessible = false,
    };

    /// <summary>
    /// The files <c>ab/abcdef…</c> of a folder. What is named otherwise, or is a link, was not put there by a cache: it is passed over, so
    /// that it is never deleted either.
    /// </summary>
    public static List<CachedFile> List(string folder)
    {
        if (!Directory.Exists(folder))
        {
            return [];
        }

        var files = new FileSystemEnumerable<CachedFile>(
            folder,
            static (ref entry) => new(entry.ToFullPath(), TryParse(entry.FileName)!.Value, entry.Length, entry.LastWriteTimeUtc),
            Walk)
        {
            ShouldRecursePredicate = static (ref entry) => entry.FileName.Length == 2,
            ShouldIncludePredicate = static (ref entry) =>
                !entry.IsDirectory && TryParse(entry.FileName) is not null && System.IO.Path.GetFileName(entry.Directory).SequenceEqual(entry.FileName[..2]),
        };
        return [.. files];
    }

    private static Digest? TryParse(ReadOnlySpan<char> hex) => Digest.TryParse($"sha256:{hex}", out var digest) ? digest : null;
}

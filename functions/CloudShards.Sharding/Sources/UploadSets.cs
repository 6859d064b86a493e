using System.Collections.Immutable;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Finds the set that an upload belongs to: the index beside it that names it, and the other files of that index.</summary>
internal sealed class UploadSets(BlobContainerClient uploads, CheckpointLimits limits)
{
    /// <summary>The set of an upload, or null where it is a checkpoint of its own.</summary>
    /// <param name="path">The upload's path.</param>
    /// <param name="cancellationToken">Ends the search.</param>
    /// <exception cref="CheckpointFormatException">The upload is an index and is refused.</exception>
    public async Task<UploadSet?> FindAsync(string path, CancellationToken cancellationToken)
    {
        var folder = path[..(path.LastIndexOf('/') + 1)];
        var (file, present) = (path[folder.Length..], await ListAsync(folder, cancellationToken).ConfigureAwait(false));
        foreach (var (name, version) in present.Where(entry => HuggingFaceIndex.IsIndexName(entry.Key)))
        {
            if (await TryReadIndexAsync(version, isAsked: name == file, cancellationToken).ConfigureAwait(false) is { } index
                && (name == file || index.Parsed.Files.Contains(file)))
            {
                return new(
                    index.Source,
                    [.. index.Parsed.Files.Where(present.ContainsKey).Select(member => present[member])],
                    [.. index.Parsed.Files.Where(member => !present.ContainsKey(member)).Select(member => folder + member)]);
            }
        }

        // A numbered part without an index: the index is still on its way.
        return CheckpointName.IndexOfPart(path) is { } expected ? new(null, [], [expected]) : null;
    }

    private async Task<SortedDictionary<string, UploadVersion>> ListAsync(string folder, CancellationToken cancellationToken)
    {
        var present = new SortedDictionary<string, UploadVersion>(StringComparer.Ordinal);
        await foreach (var item in uploads.GetBlobsByHierarchyAsync(BlobTraits.None, BlobStates.None, "/", folder, cancellationToken).ConfigureAwait(false))
        {
            if (item is { IsBlob: true, Blob: { Name: var name, Properties: { ETag: { } etag, LastModified: { } writtenAt } } })
            {
                present[name[folder.Length..]] = new(name, etag, writtenAt);
            }
        }

        return present;
    }

    // An index that is refused is the business of its own event, not of the files around it.
    private async Task<(ICheckpointSource Source, HuggingFaceIndex Parsed)?> TryReadIndexAsync(
        UploadVersion version, bool isAsked, CancellationToken cancellationToken)
    {
        try
        {
            var source = await BlobCheckpointSource.OpenAsync(uploads.GetBlobClient(version.Path), version.ETag, cancellationToken).ConfigureAwait(false);
            return (source, await CheckpointFiles.ReadIndexAsync(source, limits, cancellationToken).ConfigureAwait(false));
        }
        catch (Exception e) when (!isAsked && (e is CheckpointFormatException or SourceChangedException))
        {
            return null;
        }
    }
}

/// <summary>One version of an upload.</summary>
/// <param name="Path">Its path.</param>
/// <param name="ETag">The version.</param>
/// <param name="UploadedAt">When it was written.</param>
internal readonly record struct UploadVersion(string Path, ETag ETag, DateTimeOffset UploadedAt);

/// <summary>A set of uploads.</summary>
/// <param name="Index">The index; null where it is missing itself.</param>
/// <param name="Present">The files of the index that are there, in its order.</param>
/// <param name="Missing">Paths of those that are not.</param>
internal sealed record UploadSet(ICheckpointSource? Index, ImmutableArray<UploadVersion> Present, ImmutableArray<string> Missing)
{
    /// <summary>All files, the index first, and their versions.</summary>
    public IEnumerable<(string Path, string ETag)> Members =>
        Present.Select(file => (file.Path, UploadEvent.TextOf(file.ETag))).Prepend((Index!.Path, Index.ETag));

    /// <summary>When the newest of all files was written.</summary>
    public DateTimeOffset NewestAt => Present.Select(file => file.UploadedAt).Append(Index!.UploadedAt).Max();

    /// <summary>
    /// Whether only some of the files were replaced since the version that <c>latest</c> names, so that the others may be about to be. A set without a
    /// file of that version is whole, and one with no other files is that version.
    /// </summary>
    /// <param name="latest">The tag; null where there is no version yet.</param>
    public bool IsMixed(ShardTag? latest)
    {
        // A tag that was moved by hand names no files.
        var known = latest?.Source.Select(file => (file.Path, file.ETag)).ToHashSet() ?? [];
        bool IsOld(string path, string etag, DateTimeOffset uploadedAt) => known.Count > 0 ? known.Contains((path, etag)) : uploadedAt <= latest?.MovedAt;
        var old = Present.Count(file => IsOld(file.Path, UploadEvent.TextOf(file.ETag), file.UploadedAt)) + (IsOld(Index!.Path, Index.ETag, Index.UploadedAt) ? 1 : 0);
        return old > 0 && old <= Present.Length;
    }
}

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
        foreach (var (name, etag) in present.Where(entry => HuggingFaceIndex.IsIndexName(entry.Key)))
        {
            if (await TryReadIndexAsync(folder + name, etag, isAsked: name == file, cancellationToken).ConfigureAwait(false) is { } index
                && (name == file || index.Parsed.Files.Contains(file)))
            {
                return new(
                    index.Source,
                    [.. index.Parsed.Files.Where(present.ContainsKey).Select(member => (folder + member, present[member]))],
                    [.. index.Parsed.Files.Where(member => !present.ContainsKey(member)).Select(member => folder + member)]);
            }
        }

        // A numbered part without an index: the index is still on its way.
        return CheckpointName.IndexOfPart(path) is { } expected ? new(null, [], [expected]) : null;
    }

    private async Task<SortedDictionary<string, ETag>> ListAsync(string folder, CancellationToken cancellationToken)
    {
        var present = new SortedDictionary<string, ETag>(StringComparer.Ordinal);
        await foreach (var item in uploads.GetBlobsByHierarchyAsync(BlobTraits.None, BlobStates.None, "/", folder, cancellationToken).ConfigureAwait(false))
        {
            if (item is { IsBlob: true, Blob: { Name: var name, Properties.ETag: { } etag } })
            {
                present[name[folder.Length..]] = etag;
            }
        }

        return present;
    }

    // An index that is refused is the business of its own event, not of the files around it.
    private async Task<(ICheckpointSource Source, HuggingFaceIndex Parsed)?> TryReadIndexAsync(
        string path, ETag etag, bool isAsked, CancellationToken cancellationToken)
    {
        try
        {
            var source = await BlobCheckpointSource.OpenAsync(uploads.GetBlobClient(path), etag, cancellationToken).ConfigureAwait(false);
            return (source, await CheckpointFiles.ReadIndexAsync(source, limits, cancellationToken).ConfigureAwait(false));
        }
        catch (Exception e) when (!isAsked && (e is CheckpointFormatException or SourceChangedException))
        {
            return null;
        }
    }
}

/// <summary>A set of uploads.</summary>
/// <param name="Index">The index; null where it is missing itself.</param>
/// <param name="Present">The files of the index that are there, in its order, and their versions.</param>
/// <param name="Missing">Paths of those that are not.</param>
internal sealed record UploadSet(ICheckpointSource? Index, ImmutableArray<(string Path, ETag ETag)> Present, ImmutableArray<string> Missing)
{
    /// <summary>All files, the index first, and their versions.</summary>
    public IEnumerable<(string Path, string ETag)> Members =>
        Present.Select(file => (file.Path, UploadEvent.TextOf(file.ETag))).Prepend((Index!.Path, Index.ETag));
}

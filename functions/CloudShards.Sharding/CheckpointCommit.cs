using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Publishes a checkpoint: the manifest first, then the tag.</summary>
/// <param name="shards">Where shards, manifests and tags are.</param>
/// <param name="tags">Moves the tag.</param>
internal sealed class CheckpointCommit(IShardStore shards, CheckpointTags tags)
{
    /// <summary>Publishes a manifest and moves <c>latest</c> to it, unless a newer upload is there already.</summary>
    /// <param name="manifest">The manifest.</param>
    /// <param name="files">The upload's files.</param>
    /// <param name="confirm">Asked last before the tag is moved; an exception leaves it where it is.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The manifest's reference.</returns>
    /// <exception cref="SourceChangedException">The upload was overwritten; nothing but the unnamed manifest was written.</exception>
    public async Task<CheckpointReference> PublishAsync(
        ShardManifest manifest, ImmutableArray<ICheckpointSource> files, Func<CancellationToken, ValueTask> confirm, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(manifest);

        // Published last: whoever can read the manifest can read all its shards.
        var digest = await ManifestWriter.WriteAsync(shards, manifest, cancellationToken).ConfigureAwait(false);
        await MoveLatestAsync(manifest.Name, digest, files, confirm, cancellationToken).ConfigureAwait(false);
        return CheckpointReference.ForDigest(manifest.Name, digest);
    }

    // Two uploads of one path may be of the same second, the clock's resolution: only the source itself tells which is the newer. It is asked after
    // the tag was read and before it is replaced, so that a newer upload either is seen here, or finds the tag changed under it and looks again.
    private async Task MoveLatestAsync(
        string name, Digest digest, ImmutableArray<ICheckpointSource> files, Func<CancellationToken, ValueTask> confirm, CancellationToken cancellationToken)
    {
        var options = new TagMoveOptions
        {
            Rule = TagRule.ForwardOnly,
            Source = [.. files.Select(file => new TagSource(file.Path, file.ETag, file.UploadedAt))],
            Confirm = async token =>
            {
                foreach (var file in files)
                {
                    await file.EnsureUnchangedAsync(token).ConfigureAwait(false);
                }

                await confirm(token).ConfigureAwait(false);
            },
        };
        await tags.MoveAsync(CheckpointReference.ForTag(name, ShardTag.Latest), digest, options, cancellationToken).ConfigureAwait(false);
    }
}

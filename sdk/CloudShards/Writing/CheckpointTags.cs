using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>The tags of checkpoints: movable names of manifests.</summary>
/// <param name="store">Where they are.</param>
/// <param name="timeProvider">The clock by which tags are moved; null for the system's.</param>
public sealed class CheckpointTags(IShardStore store, TimeProvider? timeProvider = null)
{
    // A set of a thousand files takes about 200 bytes for each.
    private const int MaxTagBytes = 4 << 20;
    private const int MaxAttempts = 10;

    private readonly IShardStore _store = store ?? throw new ArgumentNullException(nameof(store));
    private readonly TimeProvider _clock = timeProvider ?? TimeProvider.System;

    /// <summary>Reads a tag, or returns null where there is none.</summary>
    /// <param name="tag">A reference by tag.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    /// <exception cref="ArgumentException"><paramref name="tag"/> is a reference by digest.</exception>
    /// <exception cref="CheckpointFormatException">The tag's document cannot be read.</exception>
    public async Task<ShardTag?> TryReadAsync(CheckpointReference tag, CancellationToken cancellationToken = default)
    {
        var found = await TryReadAsync(_store, tag, cancellationToken).ConfigureAwait(false);
        return found?.Tag;
    }

    /// <summary>Moves a tag to a manifest.</summary>
    /// <param name="tag">A reference by tag.</param>
    /// <param name="digest">The manifest, which must exist.</param>
    /// <param name="options">Who moves it, and by which rule; null where a person or program does.</param>
    /// <param name="cancellationToken">Ends the move.</param>
    /// <returns>False where the rule keeps the tag where it is.</returns>
    /// <exception cref="ArgumentException"><paramref name="tag"/> is a reference by digest.</exception>
    /// <exception cref="CheckpointNotFoundException">There is no such manifest.</exception>
    /// <exception cref="CheckpointFormatException">The tag's present document cannot be read.</exception>
    /// <exception cref="InvalidOperationException">Others move the tag all the time.</exception>
    public async Task<bool> MoveAsync(
        CheckpointReference tag, Digest digest, TagMoveOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new();
        var blob = BlobOf(tag);
        if (await _store.TryFindAsync(StoreLayout.Manifest(tag.Name, digest), cancellationToken).ConfigureAwait(false) is null)
        {
            throw Errors.NoSuchManifest(tag, digest);
        }

        var wanted = new ShardTag(digest, _clock.GetUtcNow(), options.Source);
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var present = await TryReadAsync(_store, tag, cancellationToken).ConfigureAwait(false);
            switch (Decide(present?.Tag, wanted, options.Rule))
            {
                case TagMove.Keep:
                    return false;
                case TagMove.Done:
                    return true;
            }

            if (options.Confirm is { } confirm)
            {
                await confirm(cancellationToken).ConfigureAwait(false);
            }

            if (await _store.TryReplaceAsync(blob, wanted.ToUtf8(), present?.Version, cancellationToken).ConfigureAwait(false))
            {
                return true;
            }
        }

        throw Errors.TagContended(tag, MaxAttempts);
    }

    internal static async ValueTask<(ShardTag Tag, string Version)?> TryReadAsync(
        IShardStore store, CheckpointReference tag, CancellationToken cancellationToken)
    {
        var document = await store.TryReadDocumentAsync(BlobOf(tag), MaxTagBytes, cancellationToken).ConfigureAwait(false);
        return document is null ? null : (ShardTag.Parse(document.Content.Span), document.Version);
    }

    internal static TagMove Decide(ShardTag? present, ShardTag wanted, TagRule rule)
    {
        if (present is null)
        {
            return TagMove.Write;
        }

        // A move by hand is written even where the tag is there already, for its moment counts; one that is found with it is this very move.
        if (present.Digest == wanted.Digest && present.Source.SequenceEqual(wanted.Source)
            && (!wanted.Source.IsEmpty || present.MovedAt >= wanted.MovedAt))
        {
            return TagMove.Done;
        }

        return rule == TagRule.ForwardOnly && Age(wanted) < Age(present) ? TagMove.Keep : TagMove.Write;
    }

    // A move by hand counts as new as its moment: what was uploaded before it does not undo it.
    private static DateTimeOffset Age(ShardTag tag) => tag.UploadedAt() ?? tag.MovedAt;

    private static string BlobOf(CheckpointReference tag)
    {
        ArgumentNullException.ThrowIfNull(tag);
        return StoreLayout.Tag(tag.Name, tag.Tag ?? throw Errors.NotATag(tag));
    }
}

/// <summary>Who moves a tag, and by which rule.</summary>
public sealed record TagMoveOptions
{
    /// <summary>The upload that moves it. Default empty: a person or program does.</summary>
    public ImmutableArray<TagSource> Source { get; init; } = [];

    /// <summary>When it may be moved. Default <see cref="TagRule.Always"/>.</summary>
    public TagRule Rule { get; init; }

    /// <summary>
    /// Asked after the tag was read and before it is replaced; an exception leaves it where it is. What it sees can only change
    /// together with the tag, or after it. Default null: nobody is asked.
    /// </summary>
    public Func<CancellationToken, ValueTask>? Confirm { get; init; }
}

/// <summary>When a tag may be moved.</summary>
public enum TagRule
{
    /// <summary>Always: a rollback, or a choice by hand.</summary>
    Always,

    /// <summary>
    /// Unless the tag names a newer upload than the one that moves it, or was moved by hand since that was written. An upload is as new as
    /// its newest file.
    /// </summary>
    ForwardOnly,
}

internal enum TagMove
{
    Write,
    Done,
    Keep,
}

namespace CloudShards.Formats;

/// <summary>
/// Which manifest is meant, written as in a container registry: <c>llama-3-8b</c> (the tag <c>latest</c>), <c>llama-3-8b:prod</c>, or
/// <c>llama-3-8b@sha256:…</c>.
/// </summary>
public sealed record CheckpointReference
{
    private CheckpointReference(string name, string? tag, Digest? digest) => (Name, Tag, Digest) = (name, tag, digest);

    /// <summary>The checkpoint's name.</summary>
    public string Name { get; }

    /// <summary>The tag, or null where the manifest is named by its digest.</summary>
    public string? Tag { get; }

    /// <summary>The manifest's digest, or null where it is named by a tag.</summary>
    public Digest? Digest { get; }

    /// <summary>Reads a reference.</summary>
    /// <exception cref="FormatException">It is not one; the message says why.</exception>
    public static CheckpointReference Parse(string reference)
    {
        ArgumentNullException.ThrowIfNull(reference);
        var at = reference.IndexOf('@', StringComparison.Ordinal);
        if (at >= 0)
        {
            return ForDigest(reference[..at], Formats.Digest.Parse(reference.AsSpan(at + 1)));
        }

        var colon = reference.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? ForTag(reference, ShardTag.Latest) : ForTag(reference[..colon], reference[(colon + 1)..]);
    }

    /// <summary>The reference to what <paramref name="tag"/> of <paramref name="name"/> names.</summary>
    /// <exception cref="FormatException">The name or the tag is not valid.</exception>
    public static CheckpointReference ForTag(string name, string tag) =>
        CheckpointName.IsTag(tag) ? new(Valid(name), tag, null) : throw Errors.BadTag(tag);

    /// <summary>The reference to one manifest of <paramref name="name"/>.</summary>
    /// <exception cref="FormatException">The name is not valid.</exception>
    public static CheckpointReference ForDigest(string name, Digest digest) => new(Valid(name), null, digest);

    /// <summary>The reference as it is written.</summary>
    public override string ToString() => Digest is { } digest ? $"{Name}@{digest}" : $"{Name}:{Tag}";

    private static string Valid(string name) => CheckpointName.IsValid(name) ? name : throw Errors.BadReference(name);
}

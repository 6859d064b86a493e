namespace CloudShards.Sharding;

/// <summary>An uploaded file in one version of it: a blob (<see cref="BlobCheckpointSource"/>) or a local file (<see cref="FileCheckpointSource"/>).</summary>
public interface ICheckpointSource
{
    /// <summary>Its path in the uploads container or folder, segments separated by <c>/</c>.</summary>
    string Path { get; }

    /// <summary>Its length in bytes.</summary>
    long Length { get; }

    /// <summary>The version that all reads are of.</summary>
    string ETag { get; }

    /// <summary>When that version was written.</summary>
    DateTimeOffset UploadedAt { get; }

    /// <summary>Reads exactly <paramref name="destination"/>'s length of bytes, from byte <paramref name="offset"/> on.</summary>
    /// <exception cref="SourceChangedException">The file is no longer in this version.</exception>
    ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>Checks that the file still is in this version.</summary>
    /// <exception cref="SourceChangedException">It is not.</exception>
    ValueTask EnsureUnchangedAsync(CancellationToken cancellationToken);
}

/// <summary>An upload was overwritten or deleted while it was being sharded. Whoever wrote the newer version has raised an event of its own.</summary>
public sealed class SourceChangedException(string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>The upload's path; null where it is not known.</summary>
    public string? Path { get; init; }
}

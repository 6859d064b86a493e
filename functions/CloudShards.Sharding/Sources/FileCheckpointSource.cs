using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace CloudShards.Sharding;

/// <summary>A local file. It is kept open; its version is its length and the time of its last write.</summary>
public sealed class FileCheckpointSource : ICheckpointSource, IDisposable
{
    private readonly string _file;
    private readonly SafeFileHandle _handle;

    /// <summary>Opens a file.</summary>
    /// <param name="file">Where it is.</param>
    /// <param name="path">Its path within the uploaded folder, segments separated by <c>/</c>.</param>
    public FileCheckpointSource(string file, string path)
    {
        (_file, Path) = (file, path);
        _handle = File.OpenHandle(file, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.Asynchronous);
        (Length, UploadedAt) = (RandomAccess.GetLength(_handle), File.GetLastWriteTimeUtc(_handle));
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    public string ETag => string.Create(CultureInfo.InvariantCulture, $"{Length}-{UploadedAt.UtcTicks}");

    /// <inheritdoc/>
    public DateTimeOffset UploadedAt { get; }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            var read = await RandomAccess.ReadAsync(_handle, destination, offset, cancellationToken).ConfigureAwait(false);
            if (read == 0)
            {
                throw Errors.SourceChanged(Path);
            }

            (offset, destination) = (offset + read, destination[read..]);
        }
    }

    /// <inheritdoc/>
    public ValueTask EnsureUnchangedAsync(CancellationToken cancellationToken)
    {
        var now = new FileInfo(_file);
        return now.Exists && now.Length == Length && now.LastWriteTimeUtc == UploadedAt.UtcDateTime
            ? ValueTask.CompletedTask
            : throw Errors.SourceChanged(Path);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _handle.Dispose();
}

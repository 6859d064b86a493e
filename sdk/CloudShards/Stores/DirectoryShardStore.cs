using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using CloudShards.Formats;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// Shards in a folder: a name is a path below it. Several processes may write at once. Writers take turns by a lock on the file
/// <c>.lock</c> in the folder, only while a finished file gets its name; readers need no lock. Names that differ in case alone need a file
/// system that tells them apart.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A semaphore whose wait handle is never taken holds nothing to free.")]
public sealed class DirectoryShardStore : IShardStore
{
    private const int WindowBytes = 256 << 10;
    private const string LockName = ".lock";
    private const string TemporaryExtension = ".tmp";
    private static readonly TimeSpan LockPoll = TimeSpan.FromMilliseconds(2);

    // No writer is silent for a day.
    private static readonly TimeSpan LeftAfter = TimeSpan.FromDays(1);

    private readonly string _root;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly ConcurrentDictionary<string, bool> _tidy = new(StringComparer.Ordinal);

    /// <summary>A store in a folder. One that is not there is an empty store, and is created by the first write.</summary>
    /// <param name="root">The folder's path.</param>
    public DirectoryShardStore(string root)
    {
        ArgumentException.ThrowIfNullOrEmpty(root);
        _root = Path.GetFullPath(root);
    }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        using var file = Open(name, cancellationToken) ?? throw Errors.ShardMissing(name, _root);
        for (var filled = 0; filled < destination.Length;)
        {
            var read = await RandomAccess.ReadAsync(file, destination[filled..], offset + filled, cancellationToken).ConfigureAwait(false);
            filled += read > 0 ? read : throw Errors.RangePastEnd(name, new(offset, destination.Length));
        }
    }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(string name, long offset, int length, Action<ReadOnlySpan<byte>> take, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(take);
        using var file = Open(name, cancellationToken) ?? throw Errors.ShardMissing(name, _root);
        var window = ArrayPool<byte>.Shared.Rent(Math.Min(length, WindowBytes));
        try
        {
            for (var filled = 0; filled < length;)
            {
                var free = window.AsMemory(0, Math.Min(window.Length, length - filled));
                var read = await RandomAccess.ReadAsync(file, free, offset + filled, cancellationToken).ConfigureAwait(false);
                filled += read > 0 ? read : throw Errors.RangePastEnd(name, new(offset, length));
                take(free.Span[..read]);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(window);
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        using var file = Open(name, cancellationToken) ?? throw Errors.ShardMissing(name, _root);
        for (var filled = 0; filled < destination.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var read = RandomAccess.Read(file, destination[filled..], offset + filled);
            filled += read > 0 ? read : throw Errors.RangePastEnd(name, new(offset, destination.Length));
        }
    }

    /// <inheritdoc/>
    public async ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken)
    {
        using var file = Open(name, cancellationToken);
        if (file is null)
        {
            return null;
        }

        var length = RandomAccess.GetLength(file);
        var content = length <= maxBytes ? new byte[length] : throw Errors.DocumentTooLong(name, maxBytes);
        for (var filled = 0; filled < content.Length;)
        {
            var read = await RandomAccess.ReadAsync(file, content.AsMemory(filled), filled, cancellationToken).ConfigureAwait(false);
            filled += read > 0 ? read : throw Errors.RangePastEnd(name, new(0, content.Length));
        }

        return new(content, Digest.Of(content).Hex);
    }

    /// <inheritdoc/>
    public ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken)
    {
        using var file = Open(name, cancellationToken);
        return ValueTask.FromResult(file is null ? null : new StoredBlob(name, RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file)));
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        var folder = new DirectoryInfo(Path.Combine(_root, prefix[..(prefix.LastIndexOf('/') + 1)]));
        foreach (var file in folder.Exists ? folder.EnumerateFiles("*", SearchOption.AllDirectories) : [])
        {
            cancellationToken.ThrowIfCancellationRequested();
            var name = Path.GetRelativePath(_root, file.FullName).Replace(Path.DirectorySeparatorChar, '/');
            if (name.StartsWith(prefix, StringComparison.Ordinal) && !file.Name.StartsWith('.'))
            {
                yield return new(name, file.Length, file.LastWriteTimeUtc);
            }
        }

        await ValueTask.CompletedTask.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        TryReplaceAsync(name, content, null, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask<bool> TryCreateAsync(
        string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        var path = PathOf(name);
        return await TryPublishAsync(path, blocks, () => !File.Exists(path), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<bool> TryReplaceAsync(
        string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken)
    {
        var path = PathOf(name);
        if (version is null && File.Exists(path))
        {
            return false;
        }

        return await TryPublishAsync(path, OneBlock(content), () => VersionOf(path) == version, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken)
    {
        var path = PathOf(name);
        return File.Exists(path) && await InTurnAsync(
            () =>
            {
                var exists = File.Exists(path);
                if (exists)
                {
                    File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
                }

                return exists;
            },
            cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken)
    {
        var path = PathOf(name);
        return File.Exists(path) && await InTurnAsync(
            () =>
            {
                var isOld = File.Exists(path) && File.GetLastWriteTimeUtc(path) <= unmodifiedSince.UtcDateTime;
                if (isOld)
                {
                    File.Delete(path);
                }

                return isOld;
            },
            cancellationToken).ConfigureAwait(false);
    }

    // A file is whole and on disk before it gets its name, so that no reader ever sees part of it.
    private async ValueTask<bool> TryPublishAsync(
        string path, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, Func<bool> isExpected, CancellationToken cancellationToken)
    {
        var folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        if (_tidy.TryAdd(folder, true))
        {
            DeleteLeftovers(folder);
        }

        var temporary = Path.Combine(folder, $".{Guid.NewGuid():N}{TemporaryExtension}");
        try
        {
            await WriteAsync(temporary, blocks, cancellationToken).ConfigureAwait(false);
            return await InTurnAsync(
                () =>
                {
                    var isWanted = isExpected();
                    if (isWanted)
                    {
                        File.Move(temporary, path, overwrite: true);
                    }

                    return isWanted;
                },
                cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    // Temporary files of writers that were killed are in nobody's way, but take space. Each store looks once in every folder that it writes to.
    private static void DeleteLeftovers(string folder)
    {
        foreach (var file in new DirectoryInfo(folder).EnumerateFiles($".*{TemporaryExtension}"))
        {
            try
            {
                if (file.LastWriteTimeUtc < DateTime.UtcNow - LeftAfter)
                {
                    file.Delete();
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another store was faster, or it is somebody else's: no reason for a write to fail.
            }
        }
    }

    private async ValueTask<bool> InTurnAsync(Func<bool> change, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            using var held = await LockAsync(cancellationToken).ConfigureAwait(false);
            return change();
        }
        finally
        {
            _turn.Release();
        }
    }

    private static async ValueTask WriteAsync(
        string path, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
    {
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.Asynchronous);
        var offset = 0L;
        await foreach (var block in blocks.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            await RandomAccess.WriteAsync(file, block, offset, cancellationToken).ConfigureAwait(false);
            offset += block.Length;
        }

        RandomAccess.FlushToDisk(file);
    }

    // Moving without overwriting would not do in place of the lock: on Unix the runtime looks and then renames, and of two movers both may
    // win.
    private async ValueTask<SafeFileHandle> LockAsync(CancellationToken cancellationToken)
    {
        SafeFileHandle? held;
        while ((held = ExclusiveFile.TryOpen(Path.Combine(_root, LockName), FileMode.OpenOrCreate)) is null)
        {
            await Task.Delay(LockPoll, cancellationToken).ConfigureAwait(false);
        }

        return held;
    }

    private SafeFileHandle? Open(string name, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            return File.OpenHandle(
                PathOf(name), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, FileOptions.Asynchronous);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private static string? VersionOf(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        using var file = File.OpenRead(path);
        return new Digest(SHA256.HashData(file)).Hex;
    }

    private string PathOf(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var segments = name.Split('/');
        foreach (var segment in segments)
        {
            if (segment is "" or "." or ".." or LockName || segment.Contains('\\', StringComparison.Ordinal)
                || segment.AsSpan().ContainsAny(Path.GetInvalidFileNameChars()))
            {
                throw Errors.NotAFileName(name, segment);
            }
        }

        return Path.Combine([_root, .. segments]);
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> OneBlock(ReadOnlyMemory<byte> content)
    {
        await ValueTask.CompletedTask.ConfigureAwait(false);
        yield return content;
    }
}

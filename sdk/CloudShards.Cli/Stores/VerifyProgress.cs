using System.Globalization;

namespace CloudShards.Cli;

/// <summary>Draws how far a verification is as one line of a terminal, which disappears when this is disposed.</summary>
/// <param name="terminal">Where; null for nowhere.</param>
/// <param name="blobs">How many blobs there are.</param>
/// <param name="bytes">Their bytes.</param>
/// <param name="clock">The clock of rates.</param>
internal sealed class VerifyProgress(TextWriter? terminal, int blobs, Int128 bytes, TimeProvider clock) : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private readonly Lock _turn = new();
    private readonly long _begun = clock.GetTimestamp();
    private TimeSpan _nextDrawn = Interval;
    private int _blobsDone;
    private long _bytesRead;
    private int _drawn;

    /// <summary>Bytes of a blob have been read.</summary>
    public void Read(int count) => Change(0, count);

    /// <summary>A blob has been compared.</summary>
    public void BlobDone() => Change(1, 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_turn)
        {
            if (_drawn > 0)
            {
                terminal?.Write($"\r{new string(' ', _drawn)}\r");
            }

            _drawn = 0;
            _nextDrawn = TimeSpan.MaxValue;
        }
    }

    private void Change(int blobsDone, long bytesRead)
    {
        lock (_turn)
        {
            (_blobsDone, _bytesRead) = (_blobsDone + blobsDone, _bytesRead + bytesRead);
            var elapsed = clock.GetElapsedTime(_begun);
            if (terminal is null || elapsed < _nextDrawn)
            {
                return;
            }

            _nextDrawn = elapsed + Interval;
            var line = string.Create(
                CultureInfo.InvariantCulture,
                $"{_blobsDone:N0} of {Amounts.Count(blobs, "blob")}, {Amounts.Rounded(_bytesRead)} of {Amounts.Rounded(bytes)}, {Amounts.Rounded((Int128)(_bytesRead / elapsed.TotalSeconds))}/s");
            terminal.Write($"\r{line.PadRight(_drawn)}");
            _drawn = Math.Max(_drawn, line.Length);
        }
    }
}

using System.Runtime.ExceptionServices;

namespace CloudShards;

/// <summary>
/// Adds up what arrives, and tells it aside from the reads, which never wait for who is told. Reports never overlap and never go back; what
/// arrives during one is in the next.
/// </summary>
internal sealed class ProgressSum(IProgress<ShardProgress> progress, long? bytesTotal, int? tensorsTotal, TimeProvider time)
{
    private readonly long _begun = time.GetTimestamp();
    private readonly Lock _turn = new();
    private Task _telling = Task.CompletedTask;
    private bool _isTelling;
    private bool _hasNews;
    private long _bytes;
    private int _tensors;

    /// <summary>Counts a read of which <paramref name="bytes"/> bytes are to come.</summary>
    public Run Begin(long bytes)
    {
        var run = new Run(bytes);
        if (bytes == 0)
        {
            Add(run, 0);
        }

        return run;
    }

    /// <summary>Counts bytes of a read that have arrived, and the read once it is whole. Throws what who is told threw.</summary>
    public void Add(Run run, long bytes)
    {
        lock (_turn)
        {
            if (_telling.IsFaulted)
            {
                ExceptionDispatchInfo.Throw(_telling.Exception.InnerException!);
            }

            run.Rest -= bytes;
            _bytes += bytes;
            _tensors += run.Rest == 0 ? 1 : 0;
            _hasNews = true;
            if (!_isTelling)
            {
                _isTelling = true;
                _telling = Task.Run(Tell);
            }
        }
    }

    /// <summary>Waits until all that was added is told, and throws what who is told threw.</summary>
    public Task EndAsync()
    {
        lock (_turn)
        {
            return _telling;
        }
    }

    private void Tell()
    {
        while (TryTakeNews(out var news))
        {
            progress.Report(news);
        }
    }

    private bool TryTakeNews(out ShardProgress news)
    {
        lock (_turn)
        {
            (_isTelling, _hasNews) = (_hasNews, false);
            news = new(_bytes, bytesTotal, _tensors, tensorsTotal, time.GetElapsedTime(_begun));
            return _isTelling;
        }
    }

    /// <summary>One read.</summary>
    internal sealed class Run(long bytes)
    {
        /// <summary>Bytes that are to come.</summary>
        public long Rest { get; set; } = bytes;
    }
}

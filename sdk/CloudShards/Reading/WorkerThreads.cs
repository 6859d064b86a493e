using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;

namespace CloudShards;

/// <summary>Does work that blocks on several threads of its own, since the thread pool has no more than it needs to compute.</summary>
internal static class WorkerThreads
{
    /// <summary>
    /// Works on items one by one, in their order, on the caller's thread and on others. The first failure ends the others and is thrown.
    /// </summary>
    /// <param name="items">The items, enumerated as they are started.</param>
    /// <param name="threads">Threads, that of the caller included.</param>
    /// <param name="work">What to do with one.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    [SuppressMessage("Design", "CA1031", Justification = "What a thread lets out ends the process; it is thrown to the caller.")]
    public static void ForEach<T>(IEnumerable<T> items, int threads, Action<T, CancellationToken> work, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var rest = items.GetEnumerator();
        Exception? failure = null;
        void Work()
        {
            try
            {
                while (TryTake(rest, out var item))
                {
                    stop.Token.ThrowIfCancellationRequested();
                    work(item, stop.Token);
                }
            }
            catch (Exception e)
            {
                // Later ones are of work that this one ended.
                Interlocked.CompareExchange(ref failure, e, null);
                stop.Cancel();
            }
        }

        var others = Enumerable.Range(1, threads - 1).Select(_ => new Thread(Work) { IsBackground = true, Name = "CloudShards" }).ToList();
        others.ForEach(thread => thread.Start());
        Work();
        others.ForEach(thread => thread.Join());
        cancellationToken.ThrowIfCancellationRequested();
        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    private static bool TryTake<T>(IEnumerator<T> rest, out T item)
    {
        lock (rest)
        {
            var isThere = rest.MoveNext();
            item = isThere ? rest.Current : default!;
            return isThere;
        }
    }
}

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Quickstart;

using var interrupted = new CancellationTokenSource();
Console.CancelKeyPress += (_, key) =>
{
    key.Cancel = true;
    interrupted.Cancel();
};

// The digits take seconds; a file takes as long as it is large, and tells how far it is.
var digitsTimeout = TimeSpan.FromMinutes(10);
return args switch
{
    [] => await RunAsync(Walkthrough.DigitsAsync, digitsTimeout, interrupted.Token),
    [var file] when File.Exists(file) => await RunAsync(stop => Walkthrough.FileAsync(file, stop), Timeout.InfiniteTimeSpan, interrupted.Token),
    [var file] when Directory.Exists(file) => Fail($"`{file}` is a folder. Give one checkpoint file, or nothing to see the digits."),
    [var file] => Fail($"there is no file `{file}`. Give the path of a checkpoint, or nothing to see the digits."),
    _ => Fail("it takes one argument at most: Quickstart [FILE], where FILE is a checkpoint to upload, shard and list."),
};

[SuppressMessage("Design", "CA1031", Justification = "The last resort of a program: whatever failed is told to its user.")]
static async Task<int> RunAsync(Func<CancellationToken, Task> walk, TimeSpan timeout, CancellationToken interrupted)
{
    using var stop = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
    stop.CancelAfter(timeout);
    try
    {
        await walk(stop.Token);
        return 0;
    }
    catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
    {
        return Fail("it was interrupted. Nothing is left behind.");
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        return Fail($"it took longer than {timeout.TotalMinutes:N0} minutes, which it does not where all is well. Run it again; nothing is left behind.");
    }
    catch (Exception e)
    {
        Debug.WriteLine(e);
        return Fail(e.Message);
    }
}

static int Fail(string because)
{
    Console.Error.WriteLine($"quickstart failed: {because}");
    return 1;
}

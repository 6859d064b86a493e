using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Quickstart;

using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(10));
Console.CancelKeyPress += (_, key) =>
{
    key.Cancel = true;
    stop.Cancel();
};
return await RunAsync(args, stop.Token);

[SuppressMessage("Design", "CA1031", Justification = "The last resort of a program: whatever failed is told to its user.")]
static async Task<int> RunAsync(string[] args, CancellationToken cancellationToken)
{
    try
    {
        switch (args)
        {
            case []:
                await Walkthrough.DigitsAsync(cancellationToken);
                return 0;
            case [var file] when File.Exists(file):
                await Walkthrough.FileAsync(file, cancellationToken);
                return 0;
            default:
                Console.Error.WriteLine("usage: Quickstart [FILE]   (FILE: a checkpoint to upload, shard and list)");
                return 1;
        }
    }
    catch (OperationCanceledException)
    {
        Console.Error.WriteLine("quickstart stopped: it was interrupted, or took longer than 10 minutes. Run it again; nothing is left behind.");
        return 1;
    }
    catch (Exception e)
    {
        Console.Error.WriteLine($"quickstart failed: {e.Message}");
        Debug.WriteLine(e);
        return 1;
    }
}

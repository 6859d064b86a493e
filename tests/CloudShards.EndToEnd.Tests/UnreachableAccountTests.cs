using CloudShards.LocalHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace CloudShards.EndToEnd.Tests;

/// <summary>What the local host does where there is no account. The clients try for half a minute, so these tests have a class beside the others.</summary>
public sealed class UnreachableAccountTests
{
    private const string Nowhere = "AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:1/a";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task TheProgramSaysSoAndEnds()
    {
        using var program = LocalHostProgram.Start("--connection-string", Nowhere);

        Assert.Equal(1, await program.EndAsync(Token));
        Assert.StartsWith("The local host cannot start: ", program.Errors, StringComparison.Ordinal);
        Assert.Contains("127.0.0.1:1", program.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AHostThatRunsGoesOn()
    {
        var log = new LogRecorder();
        var builder = Host.CreateEmptyApplicationBuilder(new());
        builder.Logging.AddProvider(log);
        builder.Services.AddLocalSharding(new() { ConnectionString = Nowhere });
        using var host = builder.Build();
        var lifetime = host.Services.GetRequiredService<IHostApplicationLifetime>();
        await host.StartAsync(Token);

        // The watcher and the loops of both queues have each failed once.
        await Eventually.TrueAsync(() => Task.FromResult(
            log.From(LogLevel.Warning).Distinct().Count() >= 3 || lifetime.ApplicationStopping.IsCancellationRequested));

        Assert.False(lifetime.ApplicationStopping.IsCancellationRequested);
        Assert.Empty(log.From(LogLevel.Error));
        await host.StopAsync(Token);
    }
}

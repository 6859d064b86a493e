using System.Net.Sockets;
using Azure.Storage.Blobs;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The local host as people start it: a program with an Azurite of its own.</summary>
public sealed class ProcessTests
{
    private const int Terminated = 15;
    private const int Killed = 9;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ItShardsAnUploadAndEndsInOrderWhenItIsAskedTo()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There is no SIGTERM.");
        using var program = LocalHostProgram.Start();
        var connection = await program.ConnectionStringAsync(Token);
        using var witness = await ConnectAsync(connection);

        await new BlobContainerClient(connection, "checkpoints").GetBlobClient("plain.pt").UploadAsync(CorpusFile.Get("plain.pt").Path, Token);
        var checkpoint = await Eventually.GetAsync(() => TryOpenAsync(connection));
        await checkpoint.DisposeAsync();
        await program.SignalAsync(Terminated, Token);

        Assert.Equal(0, await program.EndAsync(Token));
        await AssertGoneAsync(connection, witness);
    }

    [Fact]
    public async Task ItLeavesNoAzuriteBehindWhenItIsKilled()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There is no SIGKILL.");
        using var program = LocalHostProgram.Start();
        var connection = await program.ConnectionStringAsync(Token);
        using var witness = await ConnectAsync(connection);

        await program.SignalAsync(Killed, Token);

        Assert.NotEqual(0, await program.EndAsync(Token));
        await AssertGoneAsync(connection, witness);
    }

    [Theory]
    [InlineData("names the storage account", "--connection-string", "UseDevelopmentStorage=true", "--account", "a")]
    [InlineData("cannot start", "--connection-string", "nonsense")]
    [InlineData("`--conection-string` is no option", "--conection-string", "text")]
    [InlineData("/proc/nope", "--folder", "/proc/nope")]
    [InlineData("`--work` is no option of this program, or its value is missing", "--work")]
    public async Task WhatCannotWorkIsSaidInOneLine(string because, params string[] arguments)
    {
        using var program = LocalHostProgram.Start(arguments);

        Assert.Equal(1, await program.EndAsync(Token));
        Assert.StartsWith("The local host cannot start: ", program.Errors, StringComparison.Ordinal);
        Assert.Contains(because, program.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", program.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("--account", "a", "-h")]
    [InlineData("--visibility", "--help")]
    public async Task HelpNamesEveryOption(params string[] arguments)
    {
        using var program = LocalHostProgram.Start(arguments);

        Assert.Equal(0, await program.EndAsync(Token));
        Assert.All(
            ["--connection-string", "--account", "--uploads", "--shards", "--work", "--events", "--folder"],
            option => Assert.Contains(option, program.Output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task VariablesOfTheMachineAreNotTakenForItsOptions()
    {
        // Clusters set WORK, shells FOLDER and ACCOUNT, to what they like.
        using var program = LocalHostProgram.Start(new Dictionary<string, string?> { ["WORK"] = "/scratch", ["ACCOUNT"] = "me", ["SHARDS"] = "NO!" });

        var connection = await program.ConnectionStringAsync(Token);

        Assert.True(await new BlobContainerClient(connection, "work").ExistsAsync(Token));
    }

    private static async Task<ShardedCheckpoint?> TryOpenAsync(string connection)
    {
        try
        {
            return await ShardedCheckpoint.OpenAsync(new(connection, "shards"), "plain", cancellationToken: Token);
        }
        catch (CheckpointNotFoundException)
        {
            return null;
        }
    }

    private static async Task<TcpClient> ConnectAsync(string connection)
    {
        var endpoint = new BlobServiceClient(connection).Uri;
        var client = new TcpClient();
        await client.ConnectAsync(endpoint.Host, endpoint.Port, Token);
        return client;
    }

    // The end of an open connection is the end of the process that held it.
    private static async Task AssertGoneAsync(string connection, TcpClient witness)
    {
        var read = await Record.ExceptionAsync(async () => Assert.Equal(0, await witness.GetStream().ReadAsync(new byte[1], Token)));
        Assert.True(read is null or IOException, $"{read}");
        await Assert.ThrowsAsync<SocketException>(() => ConnectAsync(connection));
    }
}

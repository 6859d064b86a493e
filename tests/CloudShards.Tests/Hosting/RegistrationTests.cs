using CloudShards.Formats;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace CloudShards.Tests;

public sealed class RegistrationTests : IAsyncLifetime
{
    private readonly StoredCheckpoint _stored = new();
    private readonly TemporaryFolder _cache = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync()
    {
        _cache.Dispose();
        return _stored.DisposeAsync();
    }

    [Fact]
    public async Task ANamedCheckpointIsReadAsTheConfigurationSays()
    {
        using var host = Host(
            _ => _stored.Store,
            ("Checkpoints:chat", "team/model:prod"), ("MaxRequestBytes", "1000"), ("MaxConcurrency", "2"), ("Verification", "digest"), ("CacheFolder", _cache.Path));
        await host.StartAsync(Token);
        var checkpoints = host.Services.GetRequiredService<NamedCheckpoints>();

        await using var checkpoint = await checkpoints.OpenAsync("chat", Token);
        await checkpoint.ReadAsync("embed.weight", new byte[20_000], Token);

        Assert.Equal(["chat"], checkpoints.Names);
        Assert.Equal(_stored.Reference, await checkpoints.ResolveAsync("chat", Token));
        Assert.Equal(20, _stored.Store.Count("read"));
        Assert.NotEmpty(Directory.GetFiles(Path.Combine(_cache.Path, "sha256"), "*", SearchOption.AllDirectories));
        Assert.Contains("`chat`", Assert.Throws<KeyNotFoundException>(() => checkpoints["other"]).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AllCheckpointsOfAConfigurationShareItsBudget()
    {
        using var host = Host(
            _ => _stored.Store, ("Checkpoints:chat", "team/model:prod"), ("Checkpoints:draft", _stored.Reference.ToString()), ("MaxRequestBytes", "1000"), ("MaxConcurrency", "2"));
        var checkpoints = host.Services.GetRequiredService<NamedCheckpoints>();
        await using var chat = await checkpoints.OpenAsync("chat", Token);
        await using var draft = await checkpoints.OpenAsync("draft", Token);
        _stored.Store.Reading = async _ => await Task.Yield();

        await Task.WhenAll(chat.ReadAsync("embed.weight", new byte[20_000], Token), draft.ReadAsync("embed.weight", new byte[20_000], Token));

        Assert.Equal(40, _stored.Store.Count("read"));
        Assert.InRange(_stored.Store.MostReadsAtOnce, 1, 2);
    }

    [Theory]
    [InlineData("Folder", "/nowhere", typeof(DirectoryShardStore))]
    [InlineData("Container", "https://account.blob.core.windows.net/shards", typeof(BlobShardStore))]
    [InlineData("ConnectionString", "UseDevelopmentStorage=true", typeof(BlobShardStore))]
    public void TheConfigurationSaysWhereTheShardsAre(string key, string value, Type store)
    {
        using var host = Host(null, ("Checkpoints:chat", "net"), (key, value));

        Assert.IsType(store, host.Services.GetRequiredService<NamedCheckpoints>().Store);
    }

    [Theory]
    [InlineData("exactly one of", "Checkpoints:chat=net")]
    [InlineData("exactly one of", "Checkpoints:chat=net", "Folder=/a", "ConnectionString=b")]
    [InlineData("No checkpoint is named", "Folder=/a")]
    [InlineData("`Checkpoints:chat` is no reference", "Folder=/a", "Checkpoints:chat=net:")]
    [InlineData("`MaxConcurrency` is 0, expected at least 1", "Folder=/a", "Checkpoints:chat=net", "MaxConcurrency=0")]
    [InlineData("`MaxGapBytes` is -1, expected at least 0", "Folder=/a", "Checkpoints:chat=net", "MaxGapBytes=-1")]
    public async Task WrongSettingsEndTheStart(string message, params string[] settings)
    {
        using var host = Host(null, [.. settings.Select(setting => (setting.Split('=')[0], setting[(setting.IndexOf('=', StringComparison.Ordinal) + 1)..]))]);

        var wrong = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token));

        Assert.Contains(message, wrong.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("MaxConcurency", "4")]
    [InlineData("MaxConcurrency", "many")]
    public async Task ASettingThatIsMisspeltEndsTheStart(string key, string value)
    {
        using var host = Host(null, ("Folder", "/a"), ("Checkpoints:chat", "net"), (key, value));

        var wrong = await Assert.ThrowsAsync<InvalidOperationException>(() => host.StartAsync(Token));

        Assert.Contains(key, wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AStoreOfTheProgramAndOneOfTheConfigurationAreTooMany()
    {
        using var host = Host(_ => _stored.Store, ("Folder", "/a"), ("Checkpoints:chat", "net"));

        await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token));
    }

    [Fact]
    public async Task HealthIsWhetherEveryCheckpointIsThere()
    {
        using var host = Host(_ => _stored.Store, ("Checkpoints:chat", "team/model:prod"), ("Checkpoints:draft", _stored.Reference.ToString()));
        var health = host.Services.GetRequiredService<HealthCheckService>();

        var healthy = await health.CheckHealthAsync(Token);
        Assert.Equal(HealthStatus.Healthy, healthy.Status);
        Assert.Equal(_stored.Reference.ToString(), healthy.Entries["cloudshards"].Data["chat"]);

        File.Delete(_stored.FileOf(StoreLayout.Manifest("team/model", _stored.Reference.Digest!.Value)));
        var gone = await health.CheckHealthAsync(Token);
        Assert.Equal(HealthStatus.Unhealthy, gone.Status);
        Assert.Contains("no manifest", gone.Entries["cloudshards"].Description, StringComparison.Ordinal);
        Assert.IsType<CheckpointNotFoundException>(gone.Entries["cloudshards"].Exception);
    }

    private static IHost Host(Func<IServiceProvider, IShardStore>? store, params (string Key, string Value)[] settings)
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create($"CloudShards:{setting.Key}", (string?)setting.Value)));
        builder.Services.AddCloudShards(builder.Configuration.GetSection("CloudShards"), store);
        builder.Services.AddHealthChecks().AddCheckpoints();
        return builder.Build();
    }
}

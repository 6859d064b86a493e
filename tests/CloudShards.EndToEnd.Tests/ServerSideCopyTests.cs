using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Azure;
using Azure.Core;
using Azure.Storage.Blobs;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Shards above 16 MiB are copied by the service from the upload's bytes. Tensors here are of 65 and 17 MiB: two blocks, and one.</summary>
public sealed class ServerSideCopyTests(AzuriteFixture azurite)
{
    private const int Small = 1000;
    private const string CopySource = "x-ms-copy-source";
    private const string CannotVerifyCopySource = "CannotVerifyCopySource";
    private static readonly int[] Large = [65 << 20, 17 << 20];
    private static readonly ShardingOptions OneLane = new() { MemoryBudgetBytes = 20 << 20 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task TheBytesOfLargeShardsAreReadOnceAndNeverSent()
    {
        var requests = new RequestRecorder();
        var (storage, upload) = await UploadAsync(requests);

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, 3), (status.State, status.ShardsCreated));
        await storage.ReadAllAsync("model");
        var blocks = requests.Requests.Where(request => request is { Method: "PUT", Component: "block" }).ToList();
        Assert.Equal(3, blocks.Count);
        Assert.All(blocks, block => Assert.Equal(0, block.BodyBytes));
        Assert.InRange(requests.Requests.Sum(request => request.BodyBytes), Small, 100_000);
        var read = requests.Requests.Where(request => request.Method == "GET" && request.Path.Contains(storage.Uploads.Name, StringComparison.Ordinal)).Sum(request => request.ResponseBytes);
        Assert.InRange(read!.Value, Large.Sum(), Large.Sum() + 100_000);
    }

    [Fact]
    public async Task TheManifestIsTheSameWhicheverWayTheBytesTook()
    {
        var (storage, upload) = await UploadAsync();
        var streamed = await storage.NewPipeline(new() { CopyByService = false }).UploadedAsync(upload.Event, Token);
        var other = await StorageContainers.CreateAsync(azurite);
        var copied = await other.NewPipeline().UploadedAsync((await other.UploadAsync("model.safetensors", await FileAsync())).Event, Token);

        Assert.Equal(streamed.Reference, copied.Reference);
    }

    /// <summary>What is done to the address of the source, so that Azurite may not read it, or does not find it.</summary>
    public static TheoryData<string, Func<Uri, Uri>> Unreadable => new()
    {
        { $"403 {CannotVerifyCopySource}", address => new(address.GetLeftPart(UriPartial.Path)) },
        { $"404 {CannotVerifyCopySource}", address => new UriBuilder(address) { Host = "localhost" }.Uri },
    };

    [Theory]
    [MemberData(nameof(Unreadable))]
    public async Task WhereTheServiceMayNotReadTheSourceTheBytesAreStreamed(string refusal, Func<Uri, Uri> change)
    {
        var codes = new ConcurrentBag<string>();
        await AssertStreamedAsync(new()
        {
            Sending = (_, request) =>
            {
                if (request.Headers.TryGetValue(CopySource, out var source))
                {
                    request.Headers.SetValue(CopySource, change(new(source)).AbsoluteUri);
                }

                return Task.CompletedTask;
            },
            Responded = (_, response) =>
            {
                if (response.Headers.TryGetValue("x-ms-error-code", out var code) && code == CannotVerifyCopySource)
                {
                    codes.Add($"{response.Status} {code}");
                }
            },
        });

        Assert.NotEmpty(codes);
        Assert.All(codes, code => Assert.Equal(refusal, code));
    }

    [Fact]
    public Task WhereTheServiceCannotCopyTheBytesAreStreamed() => AssertStreamedAsync(
        new() { Answering = (_, request) => IsCopy(request) ? new ErrorResponse(501, "APINotImplemented") : null });

    /// <summary>Azurite says no more where the address of the source is signed for an account.</summary>
    [Fact]
    public Task WhereTheServiceFailsWithoutAWordTheBytesAreStreamed() => AssertStreamedAsync(
        new() { Answering = (_, request) => IsCopy(request) ? new ErrorResponse(500, "") : null });

    [Theory]
    [InlineData(403, 10, true)]
    [InlineData(403, 9, false)]
    [InlineData(501, 10_000, false)]
    public async Task ARefusalIsRememberedForAWhile(int status, int minutes, bool isAskedAgain)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var content = await Checkpoints.SafetensorsAsync(0, new SyntheticTensor("large", TensorDType.U8, [Large[^1]]));
        var (copies, clock) = (0, new FakeTimeProvider(DateTimeOffset.UtcNow));
        var hook = new RequestHook { Answering = (_, request) => IsCopy(request) && ++copies > 0 ? new ErrorResponse(status, CannotVerifyCopySource) : null };
        var worker = storage.BeforeSigning(hook).NewPipeline(OneLane, clock: clock);
        await worker.UploadedAsync((await storage.UploadAsync("model.safetensors", content)).Event, Token);
        await ForgetAsync(storage);
        var before = copies;

        clock.Advance(TimeSpan.FromMinutes(minutes));
        var again = await storage.UploadAsync("model.safetensors", content);
        Assert.Equal(JobState.Committed, (await worker.UploadedAsync(again.Event, Token)).State);

        Assert.Equal((true, isAskedAgain), (before > 0, copies > before));
    }

    [Fact]
    public async Task AnUploadThatIsDeletedDuringTheCopyGivesWayAndOthersAreCopied()
    {
        var (storage, upload) = await UploadAsync();
        var copies = 0;
        var hook = new RequestHook
        {
            Sending = async (_, request) =>
            {
                if (IsCopy(request) && ++copies == 1)
                {
                    await storage.Uploads.DeleteBlobAsync(upload.Path, cancellationToken: Token);
                }
            },
        };
        var worker = storage.BeforeSigning(hook).NewPipeline(OneLane);

        var status = await worker.UploadedAsync(upload.Event, Token);

        Assert.Equal(JobState.Superseded, status.State);
        var before = copies;
        var other = await storage.UploadAsync("other.safetensors", await FileAsync());
        Assert.Equal(JobState.Committed, (await worker.UploadedAsync(other.Event, Token)).State);
        Assert.True(copies > before, "It was streamed.");
    }

    [Fact]
    public async Task ACommitWhoseAnswerIsLostIsOneThatIsThere()
    {
        var (hook, lost) = (new RequestHook(), 0);
        var (storage, upload) = await UploadAsync(hook);
        hook.Answered = (_, request) => request.Uri.Query.Contains("comp=blocklist", StringComparison.Ordinal) && ++lost == 1
            ? throw new IOException("Connection reset.")
            : Task.CompletedTask;

        var status = await storage.NewPipeline(OneLane).UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, true), (status.State, lost > 1));
        await storage.ReadAllAsync("model");
    }

    [Fact]
    public async Task AnUploadThatIsOverwrittenBeforeTheCopyGivesWay()
    {
        var isDone = false;
        StorageContainers storage = null!;
        var hook = new RequestHook
        {
            Sending = async (_, request) =>
            {
                if (IsCopy(request) && !isDone)
                {
                    isDone = true;
                    await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
                }
            },
        };
        (storage, var upload) = await UploadAsync(hook);

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((true, JobState.Superseded), (isDone, status.State));
        Assert.Empty(await storage.StoredAsync("checkpoints/"));
    }

    [Theory]
    [InlineData("x-ms-source-content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "Md5Mismatch")]
    [InlineData("x-ms-source-range", "bytes=999999999-1000000000", CannotVerifyCopySource)]
    public async Task DamageAndWrongRangesAreErrorsAndNeverStreamedAround(string header, string value, string code)
    {
        var hook = new RequestHook
        {
            Sending = (_, request) =>
            {
                if (IsCopy(request))
                {
                    request.Headers.SetValue(header, value);
                }

                return Task.CompletedTask;
            },
        };
        var (storage, upload) = await UploadAsync();

        var error = await Assert.ThrowsAsync<RequestFailedException>(() => storage.BeforeSigning(hook).NewPipeline().UploadedAsync(upload.Event, Token));

        Assert.Equal(code, error.ErrorCode);
        Assert.True((await storage.StoredAsync("tensors/")).Count <= 1, "A large shard was stored.");
        Assert.Empty(await storage.StoredAsync("checkpoints/"));
    }

    [Fact]
    public async Task AnIdentityAsksForAKeyAndSignsTheSourceWithIt()
    {
        var asked = new List<string>();
        var hook = new RequestHook
        {
            Answering = (_, request) =>
            {
                asked.Add($"{request.Method} {request.Uri.Query}");
                return new XmlResponse($"""
                    <?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>{Guid.Empty}</SignedOid><SignedTid>{Guid.Empty}</SignedTid>
                    <SignedStart>{DateTime.UtcNow:yyyy-MM-ddTHH:mm:ssZ}</SignedStart><SignedExpiry>{DateTime.UtcNow.AddHours(12):yyyy-MM-ddTHH:mm:ssZ}</SignedExpiry>
                    <SignedService>b</SignedService><SignedVersion>2026-10-06</SignedVersion><Value>{Convert.ToBase64String(RandomNumberGenerator.GetBytes(32))}</Value></UserDelegationKey>
                    """);
            },
        };
        var options = new BlobClientOptions();
        options.AddPolicy(hook, HttpPipelinePosition.PerCall);
        var uploads = new BlobContainerClient(new Uri("https://account.blob.core.windows.net/checkpoints"), new AnyToken(), options);
        var access = new SourceAccess(uploads, TimeProvider.System);

        var first = await access.AddressOfAsync(uploads.GetBlobClient("a b/model.pt"), Token);
        var second = await access.AddressOfAsync(uploads.GetBlobClient("other.pt"), Token);

        Assert.Single(asked, request => request.StartsWith("POST ", StringComparison.Ordinal) && request.Contains("comp=userdelegationkey", StringComparison.Ordinal));
        Assert.Single(asked);
        Assert.Equal("/checkpoints/a%20b/model.pt", first.AbsolutePath);
        Assert.All([first, second], address => Assert.Contains("sp=r&", address.Query + "&", StringComparison.Ordinal));
        Assert.All([first, second], address => Assert.Contains("skoid=", address.Query, StringComparison.Ordinal));
        Assert.All([first, second], address => Assert.Contains("sr=b", address.Query, StringComparison.Ordinal));
    }

    [Fact]
    public async Task AClientWithASasPassesItOn()
    {
        var uploads = new BlobContainerClient(new Uri("https://account.blob.core.windows.net/checkpoints?sv=2024-01-01&sp=r&sig=abc"));

        var address = await new SourceAccess(uploads, TimeProvider.System).AddressOfAsync(uploads.GetBlobClient("model.pt"), Token);

        Assert.Contains("sig=abc", address.Query, StringComparison.Ordinal);
    }

    private async Task AssertStreamedAsync(RequestHook hook)
    {
        var (storage, upload) = await UploadAsync();
        var (asked, sending) = (0, hook.Sending);
        hook.Sending = (number, request) =>
        {
            asked += IsCopy(request) ? 1 : 0;
            return sending(number, request);
        };

        // The refusal of the first is known to the second.
        var status = await storage.BeforeSigning(hook).NewPipeline(OneLane).UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, 3), (status.State, status.ShardsCreated));
        Assert.InRange(asked, 1, 2);
        await storage.ReadAllAsync("model");
    }

    private static async Task ForgetAsync(StorageContainers storage)
    {
        foreach (var shard in (await storage.StoredAsync("tensors/")).Keys)
        {
            await storage.Shards.DeleteBlobAsync(shard, cancellationToken: Token);
        }
    }

    private static bool IsCopy(Request request) => request.Headers.TryGetValue(CopySource, out _);

    private async Task<(StorageContainers Storage, Upload Upload)> UploadAsync(params Azure.Core.Pipeline.HttpPipelinePolicy[] policies)
    {
        var storage = await StorageContainers.CreateAsync(azurite, policies);
        return (storage, await storage.UploadAsync("model.safetensors", await FileAsync()));
    }

    private static Task<BinaryData> FileAsync() => Checkpoints.SafetensorsAsync(
        0, [new("small", TensorDType.U8, [Small]), .. Large.Select((bytes, i) => new SyntheticTensor($"large{i}", TensorDType.U8, [bytes]))]);

    private sealed class AnyToken : TokenCredential
    {
        public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken) => new("token", DateTimeOffset.MaxValue);

        public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken) =>
            new(GetToken(requestContext, cancellationToken));
    }

    private sealed class XmlResponse(string body) : ErrorResponse(200, "OK")
    {
        public override bool IsError => false;

        public override Stream? ContentStream { get; set; } = new MemoryStream(Encoding.UTF8.GetBytes(body));
    }
}

using System.Net.Http.Headers;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>A file on a server that answers ranges.</summary>
internal sealed class HttpLocation : CheckpointLocation
{
    private readonly Uri _address;
    private readonly TimeProvider _clock;
    private readonly HttpClient _http;

    public HttpLocation(Uri address, TimeProvider clock)
    {
        (_address, _clock) = (address, clock);

        // HttpCheckpointSource has a timeout of its own, which also bounds how long a body may pause.
        _http = new() { Timeout = Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.UserAgent.Add(new("cloudshards", typeof(HttpLocation).Assembly.GetName().Version?.ToString(3)));
        _http.DefaultRequestHeaders.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
    }

    /// <inheritdoc/>
    public override string Name => Addresses.FileName(_address);

    /// <inheritdoc/>
    public override async Task<ICheckpointSource> OpenAsync(CancellationToken cancellationToken) =>
        await HttpCheckpointSource.TryOpenAsync(_http, _address, _clock, cancellationToken) ?? throw Errors.NotFound(Addresses.Display(_address));

    /// <inheritdoc/>
    public override async ValueTask<ICheckpointSource?> OpenBesideAsync(string name, CancellationToken cancellationToken) =>
        await HttpCheckpointSource.TryOpenAsync(_http, Addresses.Beside(_address, name), _clock, cancellationToken);

    /// <inheritdoc/>
    public override void Dispose() => _http.Dispose();
}

using System.Diagnostics.CodeAnalysis;
using Azure;
using Azure.Core;
using Azure.Core.Pipeline;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Lets a test act at each request of a pipeline: before it is sent, in the server's place, or once the server has done its part.</summary>
internal sealed class RequestHook : HttpPipelinePolicy
{
    private int _count;

    /// <summary>The requests so far; a retry is one of its own.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Called with the request's number, from 0 on, before it is sent.</summary>
    public Func<int, Request, Task> Sending { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>Gives the answer in the server's place, or null to let it answer.</summary>
    public Func<int, Request, Response?> Answering { get; set; } = (_, _) => null;

    /// <summary>Called with the request's number after the server's answer came.</summary>
    public Func<int, Request, Task> Answered { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>Called with the request's number and the server's answer.</summary>
    public Action<int, Response> Responded { get; set; } = (_, _) => { };

    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) =>
        throw new NotSupportedException("The pipeline never blocks.");

    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        var number = Interlocked.Increment(ref _count) - 1;
        await Sending(number, message.Request);
        if (Answering(number, message.Request) is { } answer)
        {
            message.Response = answer;
            return;
        }

        await ProcessNextAsync(message, pipeline);
        Responded(number, message.Response);
        await Answered(number, message.Request);
    }
}

/// <summary>An answer without a body, as a server gives it that is in trouble.</summary>
internal class ErrorResponse(int status, string code) : Response
{
    public override int Status => status;

    public override string ReasonPhrase => code;

    public override bool IsError => true;

    public override Stream? ContentStream { get; set; }

    public override string ClientRequestId { get; set; } = "";

    public override void Dispose()
    {
    }

    protected override bool ContainsHeader(string name) => TryGetHeader(name, out _);

    protected override IEnumerable<HttpHeader> EnumerateHeaders() => [new("x-ms-error-code", code)];

    protected override bool TryGetHeader(string name, [NotNullWhen(true)] out string? value)
    {
        value = name == "x-ms-error-code" ? code : null;
        return value is not null;
    }

    protected override bool TryGetHeaderValues(string name, [NotNullWhen(true)] out IEnumerable<string>? values)
    {
        values = TryGetHeader(name, out var value) ? [value] : null;
        return values is not null;
    }
}

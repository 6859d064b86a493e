using Azure.Core;
using Azure.Core.Pipeline;

namespace CloudShards.EndToEnd.Tests;

/// <summary>
/// Makes a share of all requests fail, each in one of the ways in which a service under load does: 503 or 500 in place of an answer, an answer that is
/// lost after the work was done, a body that is cut off, a first byte that comes late. The same seed does it in the same order.
/// </summary>
internal sealed class UnreliableServer(int seed, double share) : HttpPipelinePolicy
{
    private readonly Lock _turn = new();
    private readonly Random _random = new(seed);
    private int _failures;

    private enum Fault
    {
        None,
        Unavailable,
        InternalError,
        LostAnswer,
        CutBody,
        LateByte,
    }

    /// <summary>How many requests have failed.</summary>
    public int Failures => Volatile.Read(ref _failures);

    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline) => throw new NotSupportedException("The pipeline never blocks.");

    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        var fault = Draw();
        if (fault is Fault.Unavailable or Fault.InternalError)
        {
            message.Response = fault is Fault.Unavailable ? new ErrorResponse(503, "ServerBusy") : new ErrorResponse(500, "InternalError");
            return;
        }

        await ProcessNextAsync(message, pipeline);
        switch (fault)
        {
            case Fault.LostAnswer:
                throw new IOException("The connection was reset.");
            // What the client reads whole before it looks at it, it asks for again by itself, underneath this.
            case Fault.CutBody when message is { BufferResponse: false, Response.ContentStream: { } body }:
                message.Response.ContentStream = new CutStream(body, message.Response.Headers.ContentLengthLong / 2 ?? 0);
                break;
            case Fault.LateByte:
                await Task.Delay(TimeSpan.FromMilliseconds(50), message.CancellationToken);
                break;
        }
    }

    private Fault Draw()
    {
        lock (_turn)
        {
            var fault = _random.NextDouble() < share ? (Fault)_random.Next(1, 6) : Fault.None;
            _failures += fault == Fault.None ? 0 : 1;
            return fault;
        }
    }

    /// <summary>A body that breaks off.</summary>
    private sealed class CutStream(Stream body, long bytes) : Stream
    {
        private long _rest = bytes;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => Take(body.Read(buffer, offset, Allow(count)));

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            Take(await body.ReadAsync(buffer[..Allow(buffer.Length)], cancellationToken));

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        private int Allow(int count) =>
            _rest > 0 ? (int)Math.Min(count, _rest) : throw new IOException("The connection was reset in the middle of the body.");

        private int Take(int read)
        {
            _rest -= read;
            return read;
        }

        protected override void Dispose(bool disposing)
        {
            body.Dispose();
            base.Dispose(disposing);
        }
    }
}

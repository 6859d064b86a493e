namespace CloudShards;

/// <summary>
/// Gives bytes of a tensor that is being written, from wherever they are. It may be asked twice for the same bytes and must then give the
/// same.
/// </summary>
/// <param name="offset">The first byte, counted from the tensor's start.</param>
/// <param name="destination">To be filled.</param>
/// <param name="cancellationToken">Ends the writing.</param>
public delegate ValueTask ShardContent(long offset, Memory<byte> destination, CancellationToken cancellationToken);

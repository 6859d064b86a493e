using CloudShards.Formats;

namespace CloudShards;

/// <summary>Cuts runs of a tensor's bytes into requests. Pure.</summary>
internal static class ReadPlanner
{
    /// <summary>Bytes of the largest request: <paramref name="maxRequestBytes"/> in whole chunks, and one chunk at least.</summary>
    public static long RequestBytes(int chunkBytes, int maxRequestBytes) =>
        Math.Max(chunkBytes, maxRequestBytes - (maxRequestBytes % chunkBytes));

    /// <summary>
    /// The requests that together cover <paramref name="run"/>, in order and without overlap. Each is at most
    /// <see cref="RequestBytes"/> long; a run that fits in one is one. Cuts lie between chunks, so that no chunk of the run is torn.
    /// </summary>
    public static IEnumerable<ByteRange> Plan(ByteRange run, int chunkBytes, int maxRequestBytes)
    {
        var requestBytes = RequestBytes(chunkBytes, maxRequestBytes);
        for (var offset = run.Offset; offset < run.End;)
        {
            var end = run.End;
            if (end - offset > requestBytes)
            {
                end = offset + requestBytes;
                end -= end % chunkBytes;
            }

            yield return new(offset, end - offset);
            offset = end;
        }
    }
}

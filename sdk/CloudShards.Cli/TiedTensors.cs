using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>Which tensors of a checkpoint lie on the same bytes of its files.</summary>
internal sealed class TiedTensors
{
    private TiedTensors(ImmutableArray<int> sameAs, ImmutableArray<int> meets) => (SameAs, Meets) = (sameAs, meets);

    /// <summary>For each tensor the first one that is the same view of the same bytes (tied weights), which may be itself.</summary>
    public ImmutableArray<int> SameAs { get; }

    /// <summary>For each tensor the first one that it is connected to by views whose first to last bytes overlap, which may be itself.</summary>
    public ImmutableArray<int> Meets { get; }

    /// <summary>Finds them.</summary>
    public static TiedTensors Of(ImmutableArray<TensorInfo> tensors)
    {
        var sameAs = new int[tensors.Length];
        var known = new Dictionary<(int, TensorLayout, TensorShape, TensorDType), int>(tensors.Length);
        for (var i = 0; i < tensors.Length; i++)
        {
            var tensor = tensors[i];
            var key = (tensor.File, tensor.Layout, tensor.Shape, tensor.DType);
            sameAs[i] = known.TryAdd(key, i) ? i : known[key];
        }

        return new([.. sameAs], FindMeetings(tensors, sameAs));
    }

    // In the order of their first bytes, a tensor meets those before it if it begins before the last of them ends.
    private static ImmutableArray<int> FindMeetings(ImmutableArray<TensorInfo> tensors, int[] sameAs)
    {
        var spans = Enumerable.Range(0, tensors.Length)
            .Where(i => sameAs[i] == i && tensors[i].Bytes > 0)
            .Select(i => (Index: i, tensors[i].File, Span: SpanOf(tensors[i])))
            .OrderBy(view => view.File).ThenBy(view => view.Span.Offset);
        int[] meets = [.. Enumerable.Range(0, tensors.Length)];
        var (cluster, file, end) = (new List<int>(), 0, 0L);
        foreach (var view in spans)
        {
            if (view.File != file || view.Span.Offset >= end)
            {
                Close();
                (file, end) = (view.File, view.Span.End);
            }

            cluster.Add(view.Index);
            end = Math.Max(end, view.Span.End);
        }

        Close();
        return [.. sameAs.Select(i => meets[i])];

        void Close()
        {
            var first = cluster.Count > 0 ? cluster.Min() : 0;
            foreach (var i in cluster)
            {
                meets[i] = first;
            }

            cluster.Clear();
        }
    }

    private static ByteRange SpanOf(TensorInfo tensor) => tensor.Contiguous ?? new TensorGather(tensor).SourceOf(0, tensor.Shape.ElementCount());
}

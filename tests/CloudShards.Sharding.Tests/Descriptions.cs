using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests;

/// <summary>Descriptions of checkpoints that no file is needed for.</summary>
internal static class Descriptions
{
    public static TensorInfo Tensor(string name, long offset, TensorShape shape, TensorDType dtype = TensorDType.F32) =>
        new(name, dtype, shape, new() { Extent = new(offset, shape.ByteCount(dtype)) });

    public static CheckpointDescription Of(ImmutableArray<TensorInfo> tensors) => new() { Format = CheckpointFormat.Safetensors, Tensors = tensors };

    public static PlannedCheckpoint Plan(ImmutableArray<TensorInfo> tensors, ShardingOptions? options = null) =>
        ShardPlanner.Plan("job", "model", [new("model.safetensors", "0x1", 1 << 20)], Of(tensors), (options ?? new()).Bounds);
}

namespace CloudShards.Formats.Torch;

/// <summary>What a storage class says of its elements.</summary>
/// <param name="DType">Their type; null where the storage is untyped and the tensor tells.</param>
/// <param name="IsQuantised">Whether they are the integers of quantised tensors.</param>
internal readonly record struct StorageType(TensorDType? DType, bool IsQuantised = false)
{
    /// <summary>Bytes of one element, as a persistent id counts them.</summary>
    public int ElementBytes => (DType?.Bits() ?? 8) / 8;
}

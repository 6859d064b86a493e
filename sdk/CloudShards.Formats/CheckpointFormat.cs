namespace CloudShards.Formats;

/// <summary>The file formats that are recognised, always by a file's bytes and never by its extension.</summary>
public enum CheckpointFormat
{
    /// <summary>safetensors.</summary>
    Safetensors,

    /// <summary>The zip that <c>torch.save</c> has written since PyTorch 1.6.</summary>
    TorchZip,
}

/// <summary>Names of <see cref="CheckpointFormat"/>.</summary>
public static class CheckpointFormatExtensions
{
    /// <summary>The name in manifests, as in <c>torch-zip</c>.</summary>
    public static string Name(this CheckpointFormat format) => format switch
    {
        CheckpointFormat.Safetensors => "safetensors",
        CheckpointFormat.TorchZip => "torch-zip",
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "Not a checkpoint format."),
    };
}

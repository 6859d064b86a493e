namespace CloudShards.Formats;

/// <summary>The file formats that are recognised, always by a file's bytes and never by its extension.</summary>
public enum CheckpointFormat
{
    /// <summary>safetensors.</summary>
    Safetensors,

    /// <summary>The zip that <c>torch.save</c> has written since PyTorch 1.6.</summary>
    TorchZip,

    /// <summary>What <c>torch.save</c> wrote before PyTorch 1.6, and does where it is told to.</summary>
    TorchLegacy,

    /// <summary>The tar that <c>torch.save</c> wrote before PyTorch 0.1.10.</summary>
    TorchTar,

    /// <summary>The zip that <c>torch.jit.save</c> writes; its code is ignored.</summary>
    TorchScript,

    /// <summary>The state dict that TorchSharp's <c>Module.save</c> writes.</summary>
    TorchSharp,
}

/// <summary>Names of <see cref="CheckpointFormat"/>.</summary>
public static class CheckpointFormatExtensions
{
    /// <summary>The name in manifests, as in <c>torch-zip</c>.</summary>
    public static string Name(this CheckpointFormat format) => format switch
    {
        CheckpointFormat.Safetensors => "safetensors",
        CheckpointFormat.TorchZip => "torch-zip",
        CheckpointFormat.TorchLegacy => "torch-legacy",
        CheckpointFormat.TorchTar => "torch-tar",
        CheckpointFormat.TorchScript => "torchscript",
        CheckpointFormat.TorchSharp => "torchsharp",
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "Not a checkpoint format."),
    };
}

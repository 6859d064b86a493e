using System.Text.RegularExpressions;

namespace CloudShards.Formats;

/// <summary>The rules by which an upload's path becomes a checkpoint's name.</summary>
public static partial class CheckpointName
{
    /// <summary>Characters that a name may have; with its prefix and suffix it stays under a blob name's 1,024.</summary>
    public const int MaxLength = 512;

    private static readonly string[] Extensions =
        [".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".dat", ".pkl", ".tar"];

    private static readonly string[] WholeFolderStems = ["model", "pytorch_model", "diffusion_pytorch_model"];

    /// <summary>
    /// The name of the checkpoint that a file belongs to: its path without the extension, or the folder's path for a file that stands
    /// for its whole folder (<c>model.safetensors</c>, <c>pytorch_model.bin</c>, an index, a numbered part).
    /// </summary>
    /// <param name="path">The file's path in the uploads container, segments separated by <c>/</c>.</param>
    /// <exception cref="CheckpointFormatException">The path gives no valid name.</exception>
    public static string FromUpload(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var slash = path.LastIndexOf('/');
        if (slash == 0)
        {
            throw Errors.BadCheckpointName(path, path);
        }

        var folder = slash < 0 ? "" : path[..slash];
        var file = path[(slash + 1)..];
        var index = IndexExtension().Match(file);
        var extension = index.Success
            ? index.Value
            : Array.Find(Extensions, known => file.Length > known.Length && file.EndsWith(known, StringComparison.OrdinalIgnoreCase)) ?? "";
        var stem = file[..^extension.Length];
        var part = PartNumber().Match(stem);
        if (part.Success)
        {
            stem = stem[..part.Index];
        }

        var standsForFolder = index.Success || part.Success || (extension.Length > 0 && WholeFolderStems.Contains(stem));
        var name = folder.Length == 0 ? stem : standsForFolder ? folder : $"{folder}/{stem}";
        return IsValid(name) ? name : throw Errors.BadCheckpointName(path, name);
    }

    /// <summary>
    /// The path of the index that a numbered part belongs to, as Hugging Face names both
    /// (<c>model-00001-of-00002.safetensors</c>, <c>model.safetensors.index.json</c>); null for any other file.
    /// </summary>
    /// <param name="path">The file's path.</param>
    public static string? IndexOfPart(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var dot = path.LastIndexOf('.');
        var part = dot < 0 ? Match.Empty : PartNumber().Match(path[..dot]);
        return part.Success ? $"{path[..part.Index]}{path[dot..]}.index.json" : null;
    }

    /// <summary>
    /// Whether <paramref name="name"/> is a name: segments of letters, digits, <c>.</c>, <c>_</c> and <c>-</c>, separated by <c>/</c>,
    /// none of them <c>manifests</c> or <c>tags</c>, none ending in a dot.
    /// </summary>
    public static bool IsValid(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.Length <= MaxLength && name.Split('/').All(IsSegment);
    }

    /// <summary>Whether <paramref name="tag"/> can be a tag: 1 to 128 letters, digits, <c>.</c>, <c>_</c> and <c>-</c>, no dot at the end.</summary>
    public static bool IsTag(string tag)
    {
        ArgumentNullException.ThrowIfNull(tag);
        return tag.Length <= 128 && IsSegmentText(tag);
    }

    private static bool IsSegment(string segment) => segment is not ("manifests" or "tags") && IsSegmentText(segment);

    private static bool IsSegmentText(string segment) =>
        segment.Length > 0 && segment[^1] != '.' && segment.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    // A variant stands before the end, as in `model.safetensors.index.fp16.json`.
    [GeneratedRegex(@"(?<=.)\.(safetensors|bin)\.index(\.[A-Za-z0-9_-]+)?\.json\z", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex IndexExtension();

    // Five digits as a rule; sets of six (`-00001-of-000163`) exist.
    [GeneratedRegex(@"-[0-9]{5,6}-of-[0-9]{5,6}\z", RegexOptions.CultureInvariant)]
    private static partial Regex PartNumber();
}

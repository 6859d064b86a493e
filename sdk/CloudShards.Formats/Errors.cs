namespace CloudShards.Formats;

/// <summary>The words of every refusal in this project: what was found where, what was expected, what to do.</summary>
internal static class Errors
{
    public static CheckpointFormatException LimitExceeded(string what, long found, long limit, string option) => new(
        CheckpointError.LimitExceeded,
        $"{Capital(what)} are {found:N0}, above the limit of {limit:N0}. If the file is trusted, raise `CheckpointLimits.{option}`.");

    public static CheckpointFormatException NameCollision(string name, string kind) => new(
        CheckpointError.BadName,
        $"Two {kind} are named `{name}` once their keys are joined by dots. Rename one of them and save the checkpoint again.",
        tensor: name);

    public static CheckpointFormatException BadCheckpointName(string path, string name) => new(
        CheckpointError.BadName,
        $"The upload `{path}` gives the checkpoint name `{name}`, which is not one: names are segments of letters, digits, `.`, `_` and `-`, "
        + $"separated by `/`, at most {CheckpointName.MaxLength} characters, none of them `manifests` or `tags`, none ending in a dot. "
        + "Upload it under another path.");

    public static FormatException BadReference(string name) => new(
        $"`{name}` is not a checkpoint's name. Expected `name`, `name:tag` or `name@sha256:…`, where a name is segments of letters, digits, "
        + "`.`, `_` and `-`, separated by `/`.");

    public static FormatException BadTag(string tag) => new(
        $"`{tag}` is not a tag. Expected 1 to 128 letters, digits, `.`, `_` and `-`, without a dot at the end.");

    public static CheckpointFormatException ManifestNotJson(string reason, Exception? inner = null) => new(
        CheckpointError.Malformed,
        $"The manifest is not a `{ShardManifest.CurrentSchema}` document: {reason} Publish the checkpoint again.",
        innerException: inner);

    public static CheckpointFormatException ManifestInconsistent(string reason, string? tensor = null) => new(
        CheckpointError.Malformed,
        tensor is null
            ? $"The manifest contradicts itself: {reason}. Publish the checkpoint again."
            : $"The manifest contradicts itself at the tensor `{tensor}`: {reason}. Publish the checkpoint again.",
        tensor: tensor);

    public static CheckpointFormatException UnknownSchema(string schema) => new(
        CheckpointError.Unsupported,
        $"The manifest's schema is `{schema}`; this version reads `{ShardManifest.CurrentSchema}`. Use a newer version of the SDK.");

    public static CheckpointFormatException TagNotJson(string reason, Exception? inner = null) => new(
        CheckpointError.Malformed,
        $"The tag's document cannot be read: {reason} Move the tag again.",
        innerException: inner);

    private static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];
}

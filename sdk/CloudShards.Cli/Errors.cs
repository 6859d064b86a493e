using System.Globalization;
using Azure;
using Azure.Identity;
using CloudShards.Formats;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>The words of every failure in this project: what was found where, what was expected, what to do.</summary>
internal static class Errors
{
    private const string ReadDirectly = "Read it without the proxy in between, or download the file and inspect that.";

    public static CommandException NotFound(string target) => new($"There is no `{target}`. Check the path or address.");

    public static CommandException NotSeekable(string path, Exception? inner = null) => new(
        $"`{path}` is a pipe or a device. Save what it gives to a file and inspect that.", inner);

    public static CommandException NothingInFolder(string folder, IReadOnlyCollection<string> unreadable) => new(
        $"No file in the folder `{folder}` is a checkpoint. "
        + (unreadable.Count == 0 ? "" : $"Not looked at, for they cannot be read: {List(unreadable)}. ")
        + "Name the file that you mean, to see what is made of it.");

    public static CommandException SeveralInFolder(string folder, IReadOnlyCollection<string> files) => new(
        $"The folder `{folder}` has several checkpoints: {List(files)}. Name one of them.");

    public static CommandException NotAFolder(string path) => new($"`{path}` is a file. Name the folder that the shards are in.");

    public static CommandException NotAzure(string address) => new(
        $"`{address}` is no address of Azure's, and has no SAS. Give a container's address with a SAS, or one of https://ACCOUNT.blob.core.windows.net.");

    public static CommandException NotAContainer(string address) => new(
        $"`{address}` is the address of no container. Give the container's, as in https://ACCOUNT.blob.core.windows.net/shards.");

    public static CommandException NoSuchTag(CheckpointReference tag) => new(
        $"There is no tag `{tag}`. Check the name and the container, or give the digest that it is to name.");

    public static CommandException NotATag(string text) => new($"`{text}` names a manifest by its digest. Give a tag, as in `name:{ShardTag.Latest}`.");

    public static CommandException NotADigest(string text) => new($"`{text}` is no digest. Give `sha256:` and 64 lower-case hex digits.");

    public static CommandException OtherCheckpoint(string text, CheckpointReference tag) => new(
        $"`{text}` is no manifest of `{tag.Name}`. A tag names a manifest of its own checkpoint: give `sha256:` and 64 lower-case hex digits.");

    public static CommandException MayNotMove(CheckpointReference tag, Exception inner) => new(
        $"`{tag}` may not be moved: {FirstLine(inner)} It takes the role Storage Blob Data Contributor, or a SAS with read, create and write permission.",
        inner);

    public static CommandException NotMoved(InvalidOperationException inner) => new(inner.Message, inner);

    public static ShardFault BlobMissing(NamedBlob blob) => new(blob, FaultKind.Missing, $"{Of(blob)}: it is not in the store. {Mend(blob, "Upload")}");

    public static ShardFault WrongLength(NamedBlob blob, long found) => new(
        blob,
        FaultKind.Length,
        string.Create(CultureInfo.InvariantCulture, $"{Of(blob)}: it has {found:N0} bytes, expected {blob.Bytes:N0}. {Mend(blob, "Delete it and upload")}"));

    public static ShardFault WrongDigest(NamedBlob blob, Digest found, int? chunk) => new(
        blob,
        FaultKind.Digest,
        $"{Of(blob)}: its bytes have the digest {found}{(chunk is { } first ? string.Create(CultureInfo.InvariantCulture, $", and chunk {first} is the first that is wrong") : "")}. "
        + Mend(blob, "Delete it and upload"),
        chunk);

    public static ShardFault WrongSums(NamedBlob blob, ShardedTensor tensor) => new(
        blob, FaultKind.Sums, $"{Of(blob)}: it is what its digest says, but the manifest has other sums for `{tensor.Name}`. Publish the checkpoint again.");

    public static ShardFault WrongPlace(NamedBlob blob, ShardedTensor tensor) => new(
        blob,
        FaultKind.Place,
        $"{Of(blob)}: it is what its digest says, but `{tensor.Name}` is not where the manifest says. A pack only repeats shards, and readers take those; "
        + "publish the checkpoint again to be faster.");

    public static CommandException NotABlob(string address) => new($"`{address}` is the address of no blob. Add the blob's name.");

    public static CommandException NotRanged(string address, HttpResponseMessage response) => (int)response.StatusCode switch
    {
        401 or 403 => new(
            $"`{address}` may not be read (status {(int)response.StatusCode}). Use an address that carries the permission, or download the file."),
        >= 400 => new(
            $"The server answered {(int)response.StatusCode} ({response.ReasonPhrase}) for `{address}`. Try again, or download the file and inspect that."),
        200 => new($"The server of `{address}` ignores ranges and sends the whole file. {ReadDirectly}"),
        _ => new($"The server answered a request for a range of `{address}` with status {(int)response.StatusCode}, Content-Range "
            + $"`{response.Content.Headers.ContentRange?.ToString() ?? "none"}` and Content-Encoding "
            + $"`{string.Join(", ", response.Content.Headers.ContentEncoding)}`: not what was asked for. {ReadDirectly}"),
    };

    public static CommandException WrongBody(string address, ByteRange range) => new(
        $"The server's answer for the bytes {range} of `{address}` has another length than it announces. {ReadDirectly}");

    public static CommandException Stalled(string address, TimeSpan timeout, Exception inner) => new(
        string.Create(CultureInfo.InvariantCulture, $"The server of `{address}` was silent for {timeout.TotalSeconds:0} s. Try again."), inner);

    public static SourceChangedException Changed(string path) => new($"`{path}` was overwritten or deleted while it was being read. Try again.");

    /// <summary>What to tell of an exception that is nobody's mistake in this program; null for any other.</summary>
    public static string? Explain(Exception exception) => exception switch
    {
        CommandException => exception.Message,
        // The pipeline words its own for uploads.
        SourceChangedException => "The file was overwritten or deleted while it was being read. Try again.",
        AuthenticationFailedException =>
            $"Nobody is signed in to Azure who may read this. Run `az login`, or use an address with a SAS. {FirstLine(exception)}",
        RequestFailedException { Status: 401 or 403 } =>
            $"This may not be read: {FirstLine(exception)} It takes the role Storage Blob Data Reader, or a SAS with read permission.",
        HttpRequestException => $"The server cannot be reached, or broke off: {FirstLine(exception)} Try again.",
        RequestFailedException { ErrorCode: "ContainerNotFound" } => "There is no such container. Check its name and the account.",
        // What the Azure client gathers of its attempts to reach a server.
        AggregateException { InnerException: { } last } => $"The server cannot be reached: {FirstLine(last)} Check the address.",
        CheckpointNotFoundException or ShardNotFoundException or ShardCorruptException or FormatException => FirstLine(exception),
        UnauthorizedAccessException or IOException or InvalidDataException or RequestFailedException => FirstLine(exception),
        _ => null,
    };

    private static string Of(NamedBlob blob)
    {
        const int MostNamed = 3;
        var (names, count) = (blob.TensorNames.Take(MostNamed).Select(name => $"`{name}`"), blob.TensorNames.Count());
        var more = count > MostNamed ? string.Create(CultureInfo.InvariantCulture, $" and {count - MostNamed:N0} more") : "";
        return $"{blob.Name} of {string.Join(", ", names)}{more}";
    }

    private static string Mend(NamedBlob blob, string what) => blob.Pack is null
        ? $"{what} the checkpoint again."
        : $"A pack only repeats shards: without it, reading takes longer. {what} the checkpoint again.";

    private static string List(IReadOnlyCollection<string> files)
    {
        const int MostListed = 10;
        var listed = string.Join(", ", files.Take(MostListed).Select(file => $"`{file}`"));
        return files.Count > MostListed ? string.Create(CultureInfo.InvariantCulture, $"{listed} and {files.Count - MostListed} more") : listed;
    }

    // Azure's messages go on with headers and a body.
    private static string FirstLine(Exception exception) => exception.Message.AsSpan().Trim().ToString().Split('\n')[0].TrimEnd();
}

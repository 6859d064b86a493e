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
        UnauthorizedAccessException or IOException or InvalidDataException or RequestFailedException => FirstLine(exception),
        _ => null,
    };

    private static string List(IReadOnlyCollection<string> files)
    {
        const int MostListed = 10;
        var listed = string.Join(", ", files.Take(MostListed).Select(file => $"`{file}`"));
        return files.Count > MostListed ? string.Create(CultureInfo.InvariantCulture, $"{listed} and {files.Count - MostListed} more") : listed;
    }

    // Azure's messages go on with headers and a body.
    private static string FirstLine(Exception exception) => exception.Message.AsSpan().Trim().ToString().Split('\n')[0].TrimEnd();
}

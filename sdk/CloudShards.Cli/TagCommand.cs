using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Azure;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary><c>cloudshards tag CONTAINER NAME[:TAG] [DIGEST]</c>.</summary>
internal static class TagCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var container = new Argument<string>("CONTAINER") { Description = StoreLocation.Description };
        var name = new Argument<string>("NAME[:TAG]") { Description = "The tag: name (its tag latest) or name:tag." };
        var digest = new Argument<string?>("DIGEST")
        {
            Description = "The manifest to move the tag to, as in sha256:… or name@sha256:… Without it, where the tag is now is told.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var json = new Option<bool>("--json") { Description = "Write JSON, for programs." };
        var tag = new Command("tag", "Tells which version of a checkpoint a tag names, or moves it to another.") { container, name, digest, json };
        tag.SetAction((parsed, cancellationToken) =>
        {
            var streams = parsed.InvocationConfiguration;
            var (isJson, output) = (parsed.GetValue(json), streams.Output);
            return CommandEnd.OfAsync(
                async () =>
                {
                    var tags = new CheckpointTags(StoreLocation.Open(parsed.GetRequiredValue(container)));
                    var asked = TagOf(parsed.GetRequiredValue(name));
                    var told = parsed.GetValue(digest) is { } text
                        ? await MoveAsync(tags, asked, DigestOf(text, asked), cancellationToken)
                        : new(asked, null, await tags.TryReadAsync(asked, cancellationToken) ?? throw Errors.NoSuchTag(asked));
                    (isJson ? (Action<Told, TextWriter>)WriteJson : WriteText)(told, output);
                    return ExitCode.Done;
                },
                streams,
                isJson,
                cancellationToken);
        });
        return tag;
    }

    private static CheckpointReference TagOf(string text) =>
        CheckpointReference.Parse(text) is { Tag: not null } tag ? tag : throw Errors.NotATag(text);

    // What the other commands print is taken as well: `name@sha256:…`.
    private static Digest DigestOf(string text, CheckpointReference tag)
    {
        if (!text.Contains('@', StringComparison.Ordinal))
        {
            return Digest.TryParse(text, out var digest) ? digest : throw Errors.NotADigest(text);
        }

        var reference = CheckpointReference.Parse(text);
        return reference.Digest is { } named && reference.Name == tag.Name ? named : throw Errors.OtherCheckpoint(text, tag);
    }

    private static async Task<Told> MoveAsync(CheckpointTags tags, CheckpointReference tag, Digest digest, CancellationToken cancellationToken)
    {
        try
        {
            var before = await tags.TryReadAsync(tag, cancellationToken);
            await tags.MoveAsync(tag, digest, new() { Rule = TagRule.Always }, cancellationToken);
            return new(tag, before, await tags.TryReadAsync(tag, cancellationToken) ?? throw Errors.NoSuchTag(tag));
        }
        catch (RequestFailedException e) when (e.Status is 401 or 403)
        {
            throw Errors.MayNotMove(tag, e);
        }
        catch (InvalidOperationException e)
        {
            throw Errors.NotMoved(e);
        }
    }

    private static void WriteText(Told told, TextWriter output)
    {
        output.WriteLine($"{told.Tag}: {told.Now.Digest}");
        var by = told.Now.Source.IsEmpty
            ? "by hand"
            : $"by the upload of {string.Join(", ", told.Now.Source.Select(file => $"{Printable.Name(file.Path)} ({TimeOf(file.UploadedAt)}, {file.ETag})"))}";
        output.WriteLine($"moved at {TimeOf(told.Now.MovedAt)} {Printable.Line(by)}");
        if (told.Before is { } before)
        {
            output.WriteLine($"before: {before.Digest}");
        }
    }

    private static void WriteJson(Told told, TextWriter output)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartObject();
            json.WriteString("tag", told.Tag.ToString());
            json.WriteString("digest", told.Now.Digest.ToString());
            json.WriteString("movedAt", told.Now.MovedAt);
            json.WriteStartArray("source");
            foreach (var file in told.Now.Source)
            {
                json.WriteStartObject();
                json.WriteString("path", file.Path);
                json.WriteString("etag", file.ETag);
                json.WriteString("uploadedAt", file.UploadedAt);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteString("before", told.Before?.Digest.ToString());
            json.WriteEndObject();
        }

        output.WriteLine(Encoding.ASCII.GetString(text.ToArray()));
    }

    private static string TimeOf(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <param name="Tag">The tag.</param>
    /// <param name="Before">What it was before it was moved; null where it was not moved, or is new.</param>
    /// <param name="Now">What it is now.</param>
    private sealed record Told(CheckpointReference Tag, ShardTag? Before, ShardTag Now);
}

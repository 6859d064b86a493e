using System.Collections.Immutable;
using System.CommandLine;
using System.Text;
using System.Text.Json;

namespace CloudShards.Cli;

/// <summary><c>cloudshards verify CONTAINER REFERENCE</c>.</summary>
internal static class VerifyCommand
{
    /// <summary>The command.</summary>
    /// <param name="terminal">Where progress is drawn; null for nowhere.</param>
    public static Command Create(TextWriter? terminal)
    {
        var container = new Argument<string>("CONTAINER") { Description = StoreLocation.Description };
        var reference = new Argument<string>("REFERENCE") { Description = "The checkpoint: name (its tag latest), name:tag or name@sha256:…" };
        var json = new Option<bool>("--json") { Description = "Write JSON, for programs." };
        var verify = new Command("verify", "Reads all of a sharded checkpoint and compares every byte with its manifest.") { container, reference, json };
        verify.SetAction((parsed, cancellationToken) =>
        {
            var streams = parsed.InvocationConfiguration;
            var (isJson, output) = (parsed.GetValue(json), streams.Output);
            return CommandEnd.OfAsync(
                async () =>
                {
                    var store = StoreLocation.Open(parsed.GetRequiredValue(container));
                    var verified = await RunAsync(store, parsed.GetRequiredValue(reference), terminal, cancellationToken);
                    (isJson ? (Action<Verified, TextWriter>)WriteJson : WriteText)(verified, output);
                    return verified.Faults.IsEmpty ? ExitCode.Done : ExitCode.Failed;
                },
                streams,
                isJson,
                cancellationToken);
        });
        return verify;
    }

    private static async Task<Verified> RunAsync(IShardStore store, string reference, TextWriter? terminal, CancellationToken cancellationToken)
    {
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(store, reference, cancellationToken: cancellationToken);
        var blobs = CheckpointVerifier.BlobsOf(checkpoint.Manifest);
        var bytes = blobs.Aggregate(Int128.Zero, (sum, blob) => sum + blob.Bytes);
        using var progress = new VerifyProgress(terminal, blobs.Length, bytes, TimeProvider.System);
        var faults = await new CheckpointVerifier(store, checkpoint.Manifest, progress).FindFaultsAsync(blobs, cancellationToken);
        return new(checkpoint.Reference.ToString(), checkpoint.Tensors.Length, blobs, bytes, faults);
    }

    private static void WriteText(Verified verified, TextWriter output)
    {
        foreach (var fault in verified.Faults)
        {
            output.WriteLine(Printable.Line($"{(fault.Kind == FaultKind.Missing ? "missing" : "damaged")}: {fault.Message}"));
        }

        var verdict = verified.Faults.IsEmpty ? "all right" : $"{Amounts.Count(verified.Faults.Length, "blob")} of {verified.Blobs.Length:N0} damaged or missing";
        output.WriteLine($"{verified.Reference}: {verdict}: {Amounts.Count(verified.Tensors, "tensor")} in {Amounts.Count(verified.Shards, "shard")}"
            + $"{(verified.Packs > 0 ? $" and {Amounts.Count(verified.Packs, "pack")}" : "")}, {Amounts.BytesAndRounded(verified.Bytes)}");
    }

    private static void WriteJson(Verified verified, TextWriter output)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartObject();
            json.WriteString("reference", verified.Reference);
            json.WriteNumber("tensors", verified.Tensors);
            json.WriteNumber("shards", verified.Shards);
            json.WriteNumber("packs", verified.Packs);
            json.WritePropertyName("bytes");
            json.WriteRawValue(verified.Bytes.ToString());
            json.WriteStartArray("faults");
            foreach (var fault in verified.Faults)
            {
                Write(fault, json);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        output.WriteLine(Encoding.ASCII.GetString(text.ToArray()));
    }

    private static void Write(ShardFault fault, Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("fault", JsonNamingPolicy.CamelCase.ConvertName(fault.Kind.ToString()));
        json.WriteString("blob", fault.Blob.Name);
        json.WriteStartArray("tensors");
        foreach (var name in fault.Blob.TensorNames)
        {
            json.WriteStringValue(name);
        }

        json.WriteEndArray();
        if (fault.Chunk is { } chunk)
        {
            json.WriteNumber("chunk", chunk);
        }
        else
        {
            json.WriteNull("chunk");
        }

        json.WriteString("message", fault.Message);
        json.WriteEndObject();
    }

    private sealed record Verified(string Reference, int Tensors, ImmutableArray<NamedBlob> Blobs, Int128 Bytes, ImmutableArray<ShardFault> Faults)
    {
        public int Packs => Blobs.Count(blob => blob.Pack is not null);

        public int Shards => Blobs.Length - Packs;
    }
}

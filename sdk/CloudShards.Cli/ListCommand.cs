using System.CommandLine;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary><c>cloudshards list CONTAINER REFERENCE</c>: what <c>inspect</c> tells, of a checkpoint that is sharded.</summary>
internal static class ListCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var container = new Argument<string>("CONTAINER") { Description = StoreLocation.Description };
        var reference = new Argument<string>("REFERENCE") { Description = "The checkpoint: name (its tag latest), name:tag or name@sha256:…" };
        var json = new Option<bool>("--json") { Description = "Write JSON, for programs." };
        var digests = new Option<bool>("--digests") { Description = "Add the SHA-256 of each tensor, as the manifest has it." };
        var list = new Command("list", "Tells what a sharded checkpoint holds, from its manifest.") { container, reference, json, digests };
        list.SetAction((parsed, cancellationToken) =>
        {
            var (streams, isJson) = (parsed.InvocationConfiguration, parsed.GetValue(json));
            return CommandEnd.OfAsync(
                async () =>
                {
                    var store = StoreLocation.Open(parsed.GetRequiredValue(container));
                    await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(
                        store, parsed.GetRequiredValue(reference), cancellationToken: cancellationToken);
                    InspectCommand.Write(InspectionOf(checkpoint, parsed.GetValue(digests)), isJson, streams.Output);
                    return ExitCode.Done;
                },
                streams,
                isJson,
                cancellationToken);
        });
        return list;
    }

    private static Inspection InspectionOf(ShardedCheckpoint checkpoint, bool hasDigests)
    {
        // Each shard is a file to the rest of the tool, so that tensors which share one are told as tied.
        var shards = new Dictionary<Digest, int>();
        var tensors = checkpoint.Tensors.Select(tensor =>
        {
            shards.TryAdd(tensor.Digest, shards.Count);
            return new TensorInfo(tensor.Name, tensor.DType, tensor.Shape, new() { Extent = new(0, tensor.Bytes) }) { File = shards[tensor.Digest] };
        });
        return new()
        {
            Name = checkpoint.Reference.ToString(),
            Files = 1,
            FileBytes = checkpoint.Tensors.DistinctBy(tensor => tensor.Digest).Aggregate(Int128.Zero, (sum, tensor) => sum + tensor.Bytes),
            IsSet = false,
            Format = checkpoint.Manifest.Schema,
            Description = new()
            {
                Format = default,
                Tensors = [.. tensors],
                Metadata = checkpoint.Manifest.Metadata,
                Values = checkpoint.Manifest.Values,
            },
            Digests = hasDigests ? [.. checkpoint.Tensors.Select(tensor => tensor.Digest)] : default,
        };
    }
}

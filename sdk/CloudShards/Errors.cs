using System.Text.Json;
using Azure;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>The words of every refusal in this project: what was found where, what was expected, what to do.</summary>
internal static class Errors
{
    public static InvalidDataException RangePastEnd(string blob, ByteRange range, Exception? inner = null) => new(
        $"`{blob}` ends before the bytes {range} that were asked for. It was cut short or overwritten; publish the checkpoint again.", inner);

    public static InvalidDataException WrongAnswer(string blob, ByteRange? range, Response response) => new(
        $"The server answered a request for {(range is { } asked ? $"the bytes {asked}" : "all")} of `{blob}` with status {response.Status}, "
        + $"Content-Range `{Header(response, "Content-Range")}` and Content-Length `{Header(response, "Content-Length")}`. "
        + "Whatever stands between this program and the blob service (a proxy, an emulator) does not answer ranges as it must; read without it.");

    public static InvalidDataException WrongVersion(string blob, ETag expected, ETag found) => new(
        $"The server answered a request for version {expected} of `{blob}` with version {found}. "
        + "Whatever stands between this program and the blob service (a proxy, a cache) ignores If-Match; read without it.");

    public static InvalidDataException BodyTooShort(string blob, ByteRange range, long received) => new(
        $"The server's answer for the bytes {range} of `{blob}` ended after {received:N0} bytes. Try again; if it stays so, read without the "
        + "proxy or emulator in between.");

    public static IOException AnswerBroke(string blob, ByteRange rest, int breaks, Exception inner) => new(
        $"The server's answers for `{blob}` broke off {breaks} times, last one for the bytes {rest}. Check the network between this program and "
        + "the blob service, then read again; where the network is slow, raise `BlobClientOptions.Retry.NetworkTimeout`.", inner);

    public static IOException NoAnswer(string blob, ByteRange range, Exception inner) => new(
        $"The server did not answer requests for the bytes {range} of `{blob}`. Check its address and the network, then read again.", inner);

    public static InvalidDataException BodyTooLong(string blob, ByteRange range) => new(
        $"The server's answer for the bytes {range} of `{blob}` has more bytes than were asked for. Whatever stands between this program and "
        + "the blob service (a proxy, an emulator) does not answer ranges as it must; read without it.");

    public static InvalidDataException DocumentTooLong(string blob, int maxBytes) => new(
        $"`{blob}` has more than the {maxBytes:N0} bytes that a document of its kind may have. " + (IsManifest(blob)
            ? $"If the checkpoint is trusted, raise `{nameof(CheckpointLimits)}.{nameof(CheckpointLimits.MaxManifestBytes)}`."
            : "It is not CloudShards that wrote it: delete it, and do again what it should tell of (move the tag, upload the checkpoint)."));

    public static IOException CacheLockHeld(string path) => new(
        $"Another process did not let go of `{path}` for two seconds. Was it stopped? Nothing is cached for the next minute; end it, or give "
        + "this program a cache folder of its own.");

    public static ShardNotFoundException ShardMissing(string blob, string store, Exception? inner = null) => new(
        $"`{store}` has no `{blob}`. If the checkpoint's manifest names it, it was deleted since; publish the checkpoint again.", blob, inner);

    public static InvalidDataException TooManyBlocks(string blob, int maxBlocks) => new(
        $"`{blob}` would have more than {maxBlocks:N0} blocks, the service's limit. Write it in larger blocks.");

    public static InvalidDataException CommittedLength(string blob, long sent, long? committed) => new(
        $"`{blob}` has {committed?.ToString("N0", null) ?? "no"} bytes after {sent:N0} were sent. Delete it and write it again.");

    public static ArgumentException NotAFileName(string name, string segment) => new(
        $"`{name}` cannot be a path below the store's folder: its segment `{segment}` is empty, reserved or has a character that file names "
        + "here may not have.", nameof(name));

    public static CheckpointNotFoundException NoSuchContainer(CheckpointReference asked, IShardStore store, Exception inner) => new(
        $"There is no `{asked}`: the container{(store is BlobShardStore { Container: var name } ? $" `{name}`" : "")} does not exist. Check its "
        + "name and the account; the deployment, the local host or `az storage container create` creates it.", asked, inner);

    public static CheckpointNotFoundException NoSuchTag(CheckpointReference asked) => new(
        $"There is no `{asked}`: the checkpoint `{asked.Name}` does not exist, was not published yet, or has no tag `{asked.Tag}`. Check the "
        + "name, the tag and the store; an upload is published once all of it is sharded.", asked);

    public static CheckpointNotFoundException NoSuchManifest(CheckpointReference asked, Digest digest) => new(
        $"The checkpoint `{asked.Name}` has no manifest {digest}{(asked.Tag is null ? "" : $", which `{asked}` should name")}. Check the "
        + "digest and the store, or publish the checkpoint again.", asked);

    public static ShardCorruptException ManifestCorrupt(string blob, Digest expected, Digest found) => new(
        $"The manifest `{blob}` has the digest {found}, expected {expected}: it is damaged or was overwritten. Delete it and publish the "
        + "checkpoint again.", blob);

    public static ShardCorruptException ChunkCorrupt(ShardedTensor tensor, int chunk, ByteRange range) => new(
        $"Chunk {chunk} (bytes {range}) of the tensor `{tensor.Name}` is not what its sum says, also when read again: the shard "
        + $"`{StoreLayout.Shard(tensor.Digest)}` is damaged, or something on the way changes bytes. Read without proxies and caches; if it "
        + "stays so, delete the shard and publish the checkpoint again.", StoreLayout.Shard(tensor.Digest), tensor.Name, chunk);

    // Its chunks were right, so to read it again would not help: the sums themselves are wrong.
    public static ShardCorruptException ShardCorrupt(ShardedTensor tensor, Digest found) => new(
        $"The tensor `{tensor.Name}` has the digest {found}, expected {tensor.Digest}, although its chunks are what the manifest's sums say: "
        + $"the shard `{StoreLayout.Shard(tensor.Digest)}` and the manifest were changed. Trust neither; delete the shard and publish the "
        + "checkpoint again.", StoreLayout.Shard(tensor.Digest), tensor.Name);

    public static KeyNotFoundException NoSuchTensor(string name, CheckpointReference checkpoint, IEnumerable<string> names)
    {
        var near = NearNames.Find(name, names);
        return new($"`{checkpoint}` has no tensor `{name}`."
            + (near.Count == 0 ? " `Tensors` lists what it has." : $" Did you mean {string.Join(" or ", near.Select(n => $"`{n}`"))}?"));
    }

    public static ArgumentException ForeignTensor(string tensor, CheckpointReference checkpoint) => new(
        $"The tensor `{tensor}` is not one of `{checkpoint}`. Take it from that checkpoint's `Tensors`.");

    public static ArgumentException RunBeyondTensor(ShardedTensor tensor, long offset, long length, long bytes) => new(
        $"{length:N0} bytes from byte {offset:N0} on do not lie in the tensor `{tensor.Name}`, or the part of it, which has {bytes:N0}.");

    public static ArgumentException DestinationLength(string tensor, long expected, long found, string parameter) => new(
        expected <= int.MaxValue
            ? $"The destination for `{tensor}` has {found:N0} bytes, expected {expected:N0}."
            : $"`{tensor}` has {expected:N0} bytes, more than one piece of memory can have. Read it by "
                + $"`{nameof(ShardedCheckpoint)}.{nameof(ShardedCheckpoint.ReadAllAsync)}`, in runs of "
                + $"`{nameof(ShardedCheckpoint)}.{nameof(ShardedCheckpoint.WindowBytes)}` bytes that follow each other.",
        parameter);

    public static NotSupportedException PieceTooLong(ShardedTensor tensor, int chunkBytes) => new(
        $"The tensor `{tensor.Name}` cannot be read piece by piece: its chunks of {chunkBytes:N0} bytes end within elements of "
        + $"{tensor.DType.Name()}. Publish the checkpoint again with a `{nameof(CheckpointWriterOptions.ChunkBytes)}` that is a power of two.");

    public static ArgumentException TooManyRanges(string tensor, TensorShape shape, int ranges) => new(
        $"{ranges} ranges were given for the tensor `{tensor}` of shape {shape}. Give at most one for each dimension.", nameof(ranges));

    public static ArgumentOutOfRangeException RangeBeyondDimension(string tensor, Range range, int dimension, long size) => new(
        nameof(range), $"The range {range} does not lie in dimension {dimension} of the tensor `{tensor}`, which has the size {size:N0}.");

    public static ArgumentException NotWholeBytes(string tensor, TensorDType dtype, long first, TensorShape shape) => new(
        $"The part {shape} from element {first:N0} on of the tensor `{tensor}` has runs that do not begin and end at whole bytes: a {dtype.Name()} "
        + $"has {dtype.Bits()} bits.");

    public static ArgumentException ContentLength(string tensor, TensorDType dtype, TensorShape shape, long expected, long content) => new(
        $"The content of the tensor `{tensor}` has {content:N0} bytes, expected {expected:N0} for {dtype.Name()} {shape}.", nameof(content));

    public static ArgumentException DuplicateTensor(string name, string checkpoint) => new(
        $"The checkpoint `{checkpoint}` already has a tensor `{name}`. Write each name once.", nameof(name));

    public static ArgumentException ValuesNotObject(JsonValueKind found) => new(
        $"`{nameof(CheckpointWriterOptions)}.{nameof(CheckpointWriterOptions.Values)}` is JSON of the kind {found}, expected an object.");

    public static InvalidOperationException TensorUnfinished(string tensor) => new(
        $"The tensor `{tensor}` is still being written. Await all writes before publishing.");

    public static InvalidDataException ShardNeitherThereNorNot(string name) => new(
        $"The store says of `{name}` that it exists when it is created, and that it does not when it is read. "
        + "Check that nothing but CloudShards deletes blobs there, then try again.");

    public static InvalidDataException ShardLength(string blob, long expected, long found) => new(
        $"`{blob}` is there with {found:N0} bytes, expected {expected:N0}: it is damaged. Delete it and write it again.");

    public static InvalidDataException ContentChanged(Digest first, Digest second) => new(
        $"The content changed while it was written: its digest was {first} and then {second}. Nothing was stored; write it again once it stays "
        + "as it is.");

    public static ArgumentException NotATag(CheckpointReference tag) => new(
        $"`{tag}` names a manifest by its digest, expected a tag as in `{tag.Name}:{ShardTag.Latest}`.", nameof(tag));

    public static InvalidOperationException TagContended(CheckpointReference tag, int attempts) => new(
        $"`{tag}` could not be moved: others moved it meanwhile, {attempts} times in a row. Try again.");

    public static UnauthorizedAccessException NotAllowed(string what, RequestFailedException inner) => new(
        $"The service did not let this program read {what} (status {inner.Status}, {inner.ErrorCode ?? "no code"}). Give its identity the role "
        + "Storage Blob Data Reader on the container, or use a SAS that allows reading and has not expired; a new role takes minutes to work.", inner);

    public static string NoStore =>
        $"It is not said where the shards are. Set exactly one of `{nameof(CloudShardsSettings.Container)}`, `{nameof(CloudShardsSettings.ConnectionString)}` "
        + $"and `{nameof(CloudShardsSettings.Folder)}`.";

    public static string TwoStores =>
        $"The program brings a store, and its configuration names another. Leave `{nameof(CloudShardsSettings.Container)}`, "
        + $"`{nameof(CloudShardsSettings.ConnectionString)}` and `{nameof(CloudShardsSettings.Folder)}` out.";

    public static string NoCheckpoints =>
        $"No checkpoint is named. Set `{nameof(CloudShardsSettings.Checkpoints)}`, as in {{\"{nameof(CloudShardsSettings.Checkpoints)}\": {{\"chat\": \"llama-3-8b:prod\"}}}}.";

    public static string BadCheckpointSetting(string name, string reason) =>
        $"`{nameof(CloudShardsSettings.Checkpoints)}:{name}` is no reference: {reason}";

    public static string SettingTooSmall(string name, long value, long least) => $"`{name}` is {value:N0}, expected at least {least:N0}.";

    public static KeyNotFoundException NoCheckpointSetting(string name, IEnumerable<string> names) => new(
        $"The configuration names no checkpoint `{name}`, but {string.Join(", ", names.Select(known => $"`{known}`"))}. Add it to "
        + $"`{nameof(CloudShardsSettings.Checkpoints)}`.");

    // `manifests` is reserved: no checkpoint's name has it.
    private static bool IsManifest(string blob) => blob.Contains("/manifests/", StringComparison.Ordinal);

    private static string Header(Response response, string name) => response.Headers.TryGetValue(name, out var value) ? value : "none";
}

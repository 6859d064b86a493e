using System.Collections.Immutable;
using System.Numerics;
using System.Text.Json;
using CloudShards.Formats.Torch;

namespace CloudShards.Formats;

/// <summary>The words of every refusal in this project: what was found where, what was expected, what to do.</summary>
internal static class Errors
{
    private const string SaveAgain = "Save the checkpoint again and upload what results";
    private const string AskForSafetensors = "Load it where you trust it, and save its state dict as safetensors";

    public static CheckpointFormatException EmptyFile() => new(
        CheckpointError.NotACheckpoint, "The file is empty. Upload it again.", 0);

    public static CheckpointFormatException NotACheckpoint(string? looksLike, long fileLength) => new(
        CheckpointError.NotACheckpoint,
        $"The file ({fileLength:N0} bytes) is not a checkpoint. " + (looksLike is null
            ? "Its first bytes are those of no known format; expected safetensors or a PyTorch checkpoint."
            : $"It seems to be {looksLike}."),
        0);

    public static CheckpointFormatException UnsupportedFormat(string what) => new(
        CheckpointError.Unsupported, $"The file seems to be {what}, which is not supported. {AskForSafetensors}.", 0);

    public static CheckpointFormatException Truncated(string what, long offset, long expected, long found) => new(
        CheckpointError.Truncated,
        $"The file ends inside {what}: expected {expected:N0} bytes from byte {offset} on, found {found:N0}. Upload it again.",
        offset + found);

    public static CheckpointFormatException NumbersOverflow(OverflowException inner) => new(
        CheckpointError.Malformed, $"Numbers in the file add up to more than 2^63. {SaveAgain}.", innerException: inner);

    public static CheckpointFormatException LimitExceeded(string what, long found, long limit, string option) => new(
        CheckpointError.LimitExceeded,
        $"The limit of {limit:N0} for {what} is exceeded: found {found:N0}. If the file is trusted, raise `CheckpointLimits.{option}`.");

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

    public static CheckpointFormatException IndexNotJson(string reason, Exception? inner = null) => new(
        CheckpointError.Malformed,
        $"The index is not a Hugging Face index, `{{\"weight_map\": {{tensor: file}}}}`: {reason} Upload the index that belongs to the files.",
        innerException: inner);

    public static CheckpointFormatException IndexPointsOutside(string tensor, string? file) => new(
        CheckpointError.Malformed,
        $"The index says that the tensor `{tensor}` is in `{file}`, which is not the name of a file beside it. Do not use this index; ask who made it.",
        tensor: tensor);

    public static CheckpointFormatException IndexDisagrees(string tensor, string? found, string? expected) => new(
        CheckpointError.BadTensor,
        (found, expected) switch
        {
            (null, _) => $"The index says that the tensor `{tensor}` is in `{expected}`, which lacks it.",
            (_, null) => $"The file `{found}` has the tensor `{tensor}`, which the index does not name.",
            _ => $"The tensor `{tensor}` is in `{found}`; the index says `{expected}`.",
        } + " Upload the index and the files that belong together.",
        tensor: tensor);

    public static FormatException BadDigest(ReadOnlySpan<char> text) => new(
        $"`{text}` is not a digest. Expected `sha256:` and 64 lower-case hex digits.");

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

    public static CheckpointFormatException HeaderNotUtf8(long offset) => new(
        CheckpointError.Malformed, $"The safetensors header is not UTF-8. {SaveAgain}.", offset);

    public static CheckpointFormatException HeaderNotJson(long offset, Exception inner) => new(
        CheckpointError.Malformed, $"The safetensors header is not valid JSON: {inner.Message} {SaveAgain}.", offset, innerException: inner);

    public static CheckpointFormatException UnexpectedJson(JsonTokenType expected, JsonTokenType found, long offset, string? tensor) => new(
        CheckpointError.Malformed,
        $"The safetensors header has {found} where {expected} is expected{(tensor is null ? "" : $", in the entry of `{tensor}`")}. {SaveAgain}.",
        offset,
        tensor);

    public static CheckpointFormatException DuplicateHeaderName(string name, long offset) => new(
        CheckpointError.BadName, $"The safetensors header names `{name}` twice. {SaveAgain}.", offset, name);

    public static CheckpointFormatException DuplicateHeaderField(string tensor, string field, long offset) => new(
        CheckpointError.BadName, $"The entry of `{tensor}` in the safetensors header has `{field}` twice. {SaveAgain}.", offset, tensor);

    public static CheckpointFormatException BadMetadata(string key, long offset) => new(
        CheckpointError.Malformed, $"The metadata `{key}` of the safetensors header is not one text. {SaveAgain}.", offset);

    public static CheckpointFormatException UnknownDType(string tensor, string dtype) => new(
        CheckpointError.BadTensor, $"The tensor `{tensor}` has the dtype `{dtype}`, which is not known. {SaveAgain} in a known dtype.", tensor: tensor);

    public static CheckpointFormatException IncompleteHeaderEntry(string tensor) => new(
        CheckpointError.Malformed,
        $"The tensor `{tensor}` lacks `dtype`, `shape` or two `data_offsets` in the safetensors header. {SaveAgain}.",
        tensor: tensor);

    public static CheckpointFormatException SizeMismatch(string tensor, TensorDType dtype, TensorShape shape, long begin, long end) => new(
        CheckpointError.BadTensor,
        $"The tensor `{tensor}` is {dtype.Name()} {shape}, which does not fill its data_offsets [{begin}, {end}] exactly. {SaveAgain}.",
        tensor: tensor);

    public static CheckpointFormatException NotAWholeNumber(string tensor, long offset) => new(
        CheckpointError.Malformed,
        $"A size or offset of the tensor `{tensor}` is not a whole number from 0 to 2^63 - 1. {SaveAgain}.",
        offset,
        tensor);

    public static CheckpointFormatException TooManyDimensions(string tensor, int limit) => new(
        CheckpointError.LimitExceeded,
        $"The tensor `{tensor}` has more than {limit} dimensions. If the file is trusted, raise `CheckpointLimits.{nameof(CheckpointLimits.MaxRank)}`.",
        tensor: tensor);

    public static CheckpointFormatException TensorsOverlap(string tensor, ByteRange extent, string? previous) => new(
        CheckpointError.BadTensor,
        $"The tensor `{tensor}` at bytes {extent} overlaps " + (previous is null ? "the header" : $"`{previous}`") + $". {SaveAgain}.",
        extent.Offset,
        tensor);

    public static CheckpointFormatException HoleBeforeTensor(string tensor, long position, long start) => new(
        CheckpointError.BadTensor,
        $"Bytes {position}..{start}, before the tensor `{tensor}`, belong to no tensor. {SaveAgain}.",
        position,
        tensor);

    public static CheckpointFormatException TrailingBytes(long position, long fileLength) => new(
        CheckpointError.Malformed, $"Bytes {position}..{fileLength}, after the last tensor, belong to no tensor. {SaveAgain}.", position);

    public static CheckpointFormatException NoZipEnd(long fileLength) => new(
        CheckpointError.Truncated, "The file starts as a zip and has no end record: most likely its upload broke off. Upload it again.", fileLength);

    public static CheckpointFormatException ZipInconsistent(string reason, long offset) => new(
        CheckpointError.Malformed, $"The zip contradicts itself: {reason}. {SaveAgain}.", offset);

    public static CheckpointFormatException ZipEntryOutside(string entry, string prefix, long offset) => new(
        CheckpointError.Malformed, $"The zip's entry `{entry}` is not in its one folder `{prefix}`. {SaveAgain}.", offset);

    public static CheckpointFormatException ZipDuplicate(string entry, long offset) => new(
        CheckpointError.Malformed, $"The zip has two entries named `{entry}`, and readers disagree which one counts. {SaveAgain}.", offset);

    public static CheckpointFormatException ZipTwins(string entry, string other, long offset) => new(
        CheckpointError.Malformed,
        $"The zip's entries `{other}` and `{entry}` differ by case alone, and PyTorch does not tell them apart. {SaveAgain}.",
        offset);

    public static CheckpointFormatException ZipEntryTooLong(string entry, long headerOffset, long bytes, long limit) => new(
        CheckpointError.Malformed,
        $"The zip's entry `{entry}` at byte {headerOffset} with {bytes:N0} bytes does not end before byte {limit}, where something else begins. {SaveAgain}.",
        headerOffset);

    public static CheckpointFormatException ZipHeaderDiffers(string entry, long offset) => new(
        CheckpointError.Malformed, $"The zip's entry `{entry}` has a local header that differs from its directory. {SaveAgain}.", offset);

    public static CheckpointFormatException ZipEncrypted(string entry, long offset) => new(
        CheckpointError.Unsupported, $"The zip's entry `{entry}` is encrypted. {SaveAgain} without encryption.", offset);

    public static CheckpointFormatException ZipCompressed(string entry, long offset) => new(
        CheckpointError.Unsupported, $"The zip's entry `{entry}` is compressed; `torch.save` stores it as it is. {SaveAgain} with `torch.save`.", offset);

    public static CheckpointFormatException NoPickle(string prefix) => new(
        CheckpointError.NotACheckpoint, $"The zip has no `{prefix}data.pkl`, so it is not one that `torch.save` wrote. Upload the checkpoint itself.");

    public static CheckpointFormatException OtherZip(IReadOnlyCollection<string> entries)
    {
        var kind = entries.All(entry => entry.EndsWith(".npy", StringComparison.OrdinalIgnoreCase))
            ? "NumPy arrays (`.npz`); convert them to safetensors"
            : "other files; unpack it and upload the checkpoint inside";
        return new(
            CheckpointError.NotACheckpoint,
            $"The file is a zip archive of {kind}: it has no `data.pkl`, which `torch.save` writes, but `{entries.First()}`"
            + (entries.Count > 1 ? $" and {entries.Count - 1:N0} more." : "."),
            0);
    }

    public static CheckpointFormatException UnknownByteOrder(long offset) => new(
        CheckpointError.Malformed, $"The zip's record `byteorder` is neither `little` nor `big`. {SaveAgain}.", offset);

    public static CheckpointFormatException NoRecord(string tensor, string key) => new(
        CheckpointError.BadTensor, $"The tensor `{tensor}` wants the record `data/{key}`, which the zip lacks. {SaveAgain}.", tensor: tensor);

    public static CheckpointFormatException RecordSize(string tensor, string key, long announced, long found) => new(
        CheckpointError.BadTensor,
        $"The tensor `{tensor}` is announced on a storage of {announced:N0} bytes, but the record `data/{key}` has {found:N0}. {SaveAgain}.",
        tensor: tensor);

    public static CheckpointFormatException SharedTooOften(long paths, int pickleBytes, int limit) => new(
        CheckpointError.LimitExceeded,
        $"A pickle of {pickleBytes:N0} bytes lists {paths:N0} tensors and values, above {limit} for a byte: its lists and dictionaries share each other. "
        + $"If the file is trusted, raise `CheckpointLimits.{nameof(CheckpointLimits.MaxExpansion)}`.");

    public static CheckpointFormatException ExpandsTooFar(string tensor, long fileLength, int limit) => new(
        CheckpointError.LimitExceeded,
        $"Written out one by one, the tensors up to `{tensor}` take more than {limit} times the file's {fileLength:N0} bytes: expanded or "
        + $"overlapping views repeat them. Save clones of them, or raise `CheckpointLimits.{nameof(CheckpointLimits.MaxExpansion)}`.",
        tensor: tensor);

    public static CheckpointFormatException GathersTooMuch(string tensor, Int128 bytes, long fileLength, int limit) => new(
        CheckpointError.LimitExceeded,
        $"To gather the views up to `{tensor}` takes reads of {bytes:N0} bytes, more than {limit} times the file's {fileLength:N0}. Save contiguous clones of "
        + $"them, or raise `CheckpointLimits.{nameof(CheckpointLimits.MaxGatherPasses)}`.",
        tensor: tensor);

    public static CheckpointFormatException BadQuantisation(string reason, long offset) => new(
        CheckpointError.BadTensor, $"A quantised tensor makes no sense: {reason}. {SaveAgain}.", offset);

    public static CheckpointFormatException BadSparse(string layout, string reason, long offset) => new(
        CheckpointError.BadTensor, $"A tensor of the layout {layout} makes no sense: {reason}. {SaveAgain}.", offset);

    public static CheckpointFormatException PickleTruncated(long offset) => new(
        CheckpointError.Truncated, $"The pickle ends in the middle of an instruction. {SaveAgain}.", offset);

    public static CheckpointFormatException BadPickle(string reason, long offset) => new(
        CheckpointError.Malformed, $"The pickle makes no sense: {reason}. {SaveAgain}.", offset);

    public static CheckpointFormatException UnknownOpcode(byte opcode, long offset) => new(
        CheckpointError.Malformed, $"The pickle has the instruction 0x{opcode:x2}, which no protocol knows. {SaveAgain}.", offset);

    public static CheckpointFormatException OldOpcode(PickleOpcode opcode, long offset) => new(
        CheckpointError.Unsupported,
        $"The pickle has the instruction {Name(opcode)} of protocol 0, which is not supported. {SaveAgain} with protocol 2 or later.",
        offset);

    public static CheckpointFormatException ForbiddenOpcode(PickleOpcode opcode, long offset) => new(
        CheckpointError.Forbidden,
        $"The pickle has the instruction {Name(opcode)}, which `torch.save` never writes. Do not load this file anywhere; ask who made it.",
        offset);

    public static CheckpointFormatException ForbiddenGlobal(string name, long offset) => new(
        CheckpointError.Forbidden,
        $"The pickle names `{name}`, which could run code where the file is unpickled. Do not load this file anywhere; ask who made it.",
        offset);

    public static CheckpointFormatException UnknownProtocol(byte protocol, long offset) => new(
        CheckpointError.Unsupported, $"The pickle is of protocol {protocol}; 0 to 5 are known. {SaveAgain} with a known protocol.", offset);

    public static CheckpointFormatException NumberTooLong(long bytes, long offset) => new(
        CheckpointError.LimitExceeded, $"The pickle has a whole number of {bytes:N0} bytes. {SaveAgain} without it.", offset);

    public static CheckpointFormatException NotADecimal(long offset) => new(
        CheckpointError.Malformed, $"The pickle has a line that is not a decimal number where one is expected. {SaveAgain}.", offset);

    public static CheckpointFormatException TextNotUtf8(long offset) => new(
        CheckpointError.BadName, $"The pickle has a text that is not valid UTF-8. {SaveAgain} under another key.", offset);

    public static CheckpointFormatException BadArguments(string function, long offset) => new(
        CheckpointError.Malformed, $"The pickle calls `{function}` with arguments that it does not take. {SaveAgain}.", offset);

    public static CheckpointFormatException UnsupportedTensor(string kind, long offset) => new(
        CheckpointError.Unsupported, $"The checkpoint has a tensor that is {kind}, which is not supported. {SaveAgain} with a dense one in its place.", offset);

    public static CheckpointFormatException UnknownStorage(string type, long offset) => new(
        CheckpointError.BadTensor, $"The pickle has a storage of the class `{type}`, which is not known. {SaveAgain} in a known dtype.", offset);

    public static CheckpointFormatException UnknownTorchDType(string dtype, long offset) => new(
        CheckpointError.BadTensor, $"The pickle has a tensor of the dtype `{dtype}`, which is not known. {SaveAgain} in a known dtype.", offset);

    public static CheckpointFormatException BadStorageSize(string key, BigInteger elements, long offset) => new(
        CheckpointError.BadTensor, $"The storage `{key}` is announced with {elements} elements. {SaveAgain}.", offset);

    public static CheckpointFormatException BadGeometry(
        TensorShape shape, ImmutableArray<long> strides, BigInteger start, string key, long offset) => new(
        CheckpointError.BadTensor,
        $"A tensor of shape {shape} with strides [{string.Join(", ", strides)}] from element {start} on does not lie within its storage `{key}`. {SaveAgain}.",
        offset);

    public static CheckpointFormatException StridesForSizes(int sizes, int strides, long offset) => new(
        CheckpointError.BadTensor, $"A tensor has {sizes:N0} sizes and {strides:N0} strides, expected as many. {SaveAgain}.", offset);

    public static CheckpointFormatException BadSizeOrStride(long offset) => new(
        CheckpointError.BadTensor, $"A tensor's size or stride is not a whole number from 0 to 2^63 - 1. {SaveAgain}.", offset);

    public static CheckpointFormatException BareStorage(string name) => new(
        CheckpointError.Unsupported, $"`{name}` is a bare storage, without dtype and shape. {SaveAgain} with a tensor in its place.", tensor: name);

    public static CheckpointFormatException TensorInObject(string name, string type) => new(
        CheckpointError.Unsupported,
        $"`{name}` is an instance of `{type}` that holds tensors, whose names would be a guess. {SaveAgain} with its `state_dict()` in its place.",
        tensor: name);

    public static CheckpointFormatException NotLegacyTorch() => new(
        CheckpointError.NotACheckpoint,
        "The file starts as a PyTorch checkpoint of before version 1.6, but is not of the one protocol version, 1001, that there was. Upload the checkpoint itself.",
        0);

    public static CheckpointFormatException BigEndianLegacy() => new(
        CheckpointError.Unsupported,
        $"The checkpoint says that a big-endian machine wrote it, in the format of before PyTorch 1.6, whose readers ignore that. {SaveAgain} by a newer version.");

    public static CheckpointFormatException StorageOfTwoKinds(string key, long offset) => new(
        CheckpointError.BadTensor, $"The pickle has the storage `{key}` in another dtype or length than before. {SaveAgain}.", offset);

    public static CheckpointFormatException UnknownStorageKey(string key, long offset) => new(
        CheckpointError.Malformed, $"The file has a storage `{key}` that no tensor uses. {SaveAgain}.", offset);

    public static CheckpointFormatException StorageTwice(string key, long offset) => new(
        CheckpointError.Malformed, $"The file has the storage `{key}` twice. {SaveAgain}.", offset);

    public static CheckpointFormatException StorageMissing(string key) => new(
        CheckpointError.Malformed, $"The file lacks the storage `{key}` that its tensors use. {SaveAgain}.");

    public static CheckpointFormatException StorageCount(string key, long expected, long found, long offset) => new(
        CheckpointError.BadTensor, $"The storage `{key}` has {found:N0} elements where its tensors expect {expected:N0}. {SaveAgain}.", offset);

    public static CheckpointFormatException NotTorchTar(string member) => new(
        CheckpointError.NotACheckpoint,
        $"The file is a tar archive without the member `{member}`, so it is not a PyTorch checkpoint of before version 0.1.10. Unpack it and upload the checkpoint inside.",
        0);

    public static CheckpointFormatException BadTar(string reason, long offset) => new(
        CheckpointError.Malformed, $"The tar archive makes no sense: {reason}. {SaveAgain}.", offset);

    public static CheckpointFormatException UnsupportedScales(string tensor) => new(
        CheckpointError.Unsupported,
        $"The scales or zero points of the quantised tensor `{tensor}` are not one contiguous row of numbers. {SaveAgain} with the tensor dequantised.",
        tensor: tensor);

    public static CheckpointFormatException ValueTooDeep(string name, int limit) => new(
        CheckpointError.LimitExceeded,
        $"The value `{name}` is a list of more than {limit} lists within each other. {SaveAgain} without it.",
        tensor: name);

    public static CheckpointFormatException UnsupportedKey(string path) => new(
        CheckpointError.BadName,
        $"A dictionary at `{path}` has a key that is neither text nor a number, so its items have no names. {SaveAgain} with text keys.");

    private static string Name(PickleOpcode opcode) => opcode switch
    {
        PickleOpcode.NextBuffer => "NEXT_BUFFER",
        PickleOpcode.ReadOnlyBuffer => "READONLY_BUFFER",
        _ => opcode.ToString().ToUpperInvariant(),
    };
}

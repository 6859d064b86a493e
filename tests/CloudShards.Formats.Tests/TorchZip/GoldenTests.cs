using CloudShards.Formats.Tests.Files;
using CloudShards.Testing;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class GoldenTests
{
    public static TheoryData<string> Ok => GoldenFile.Names("torch-zip", CorpusExpectation.Ok);

    public static TheoryData<string> Either => GoldenFile.Names("torch-zip", CorpusExpectation.Either);

    public static TheoryData<string> Rejected => GoldenFile.Names("torch-zip", CorpusExpectation.Reject);

    [Theory]
    [MemberData(nameof(Ok))]
    public void AFileIsListedExactly(string name) => GoldenFile.AssertListed(CorpusFile.Get(name));

    [Theory]
    [MemberData(nameof(Either))]
    public void ADoubtfulFileIsRefusedOrListedExactly(string name) => GoldenFile.AssertRefusedOrListed(CorpusFile.Get(name));

    [Theory]
    [MemberData(nameof(Rejected))]
    public void ABadFileIsRefused(string name) => CheckpointBytes.Refuse(CorpusFile.Get(name).ReadAllBytes());

    // What a sidecar leaves to the reader and this reader promises.
    [Theory]
    [InlineData("dtypes_big_endian.pt")]
    [InlineData("untyped_v3.pt")]
    [InlineData("conj_metadata.pt")]
    [InlineData("storage_two_types.pt")]
    [InlineData("cycle.pt")]
    [InlineData("geometry_expand_mild.pt")]
    [InlineData("geometry_many_views.pt")]
    [InlineData("foreign_objects.pt")]
    [InlineData("evil_after_stop.pt")]
    [InlineData("zip_bad_crc.pt")]
    [InlineData("bomb_frame.pt")]
    [InlineData("bomb_long_binput.pt")]
    [InlineData("bomb_dup.pt")]
    public void AFileThatIsPromisedIsListedExactly(string name) => GoldenFile.AssertListed(CorpusFile.Get(name));

    // And what it refuses, each by its own cause.
    [Theory]
    [InlineData("name_collision.pt", CheckpointError.BadName)]
    [InlineData("duplicate_dict_key.pt", CheckpointError.BadName)]
    [InlineData("surrogate_key.pt", CheckpointError.BadName)]
    [InlineData("nonstring_keys.pt", CheckpointError.BadName)]
    [InlineData("meta_tensor.pt", CheckpointError.Unsupported)]
    [InlineData("raw_storage.pt", CheckpointError.Unsupported)]
    [InlineData("plain_deflated.pt", CheckpointError.Unsupported)]
    [InlineData("zip_encrypted_flag.pt", CheckpointError.Unsupported)]
    [InlineData("zip_appended_junk.pt", CheckpointError.Malformed)]
    [InlineData("zip_prefixed_junk.pt", CheckpointError.NotACheckpoint)]
    [InlineData("zip_two_prefixes.pt", CheckpointError.Malformed)]
    [InlineData("zip_traversal.pt", CheckpointError.Malformed)]
    [InlineData("zip_overlapping.pt", CheckpointError.Malformed)]
    [InlineData("zip_name_differs.pt", CheckpointError.Malformed)]
    [InlineData("zip_duplicate_pkl.pt", CheckpointError.Malformed)]
    [InlineData("zip_no_pkl.pt", CheckpointError.NotACheckpoint)]
    [InlineData("byteorder_bad.pt", CheckpointError.Malformed)]
    [InlineData("truncated_half.pt", CheckpointError.Truncated)]
    [InlineData("truncated_no_eocd.pt", CheckpointError.Truncated)]
    [InlineData("truncated_in_cd.pt", CheckpointError.Truncated)]
    [InlineData("truncated_0_bytes.pt", CheckpointError.NotACheckpoint)]
    [InlineData("truncated_1_byte.pt", CheckpointError.NotACheckpoint)]
    [InlineData("text.pt", CheckpointError.NotACheckpoint)]
    [InlineData("html.bin", CheckpointError.NotACheckpoint)]
    [InlineData("random.bin", CheckpointError.NotACheckpoint)]
    [InlineData("evil_bare.pkl", CheckpointError.NotACheckpoint)]
    public void ARefusalHasItsCause(string name, CheckpointError error) =>
        Assert.Equal(error, CheckpointBytes.Refuse(CorpusFile.Get(name).ReadAllBytes()).Error);

    [Fact]
    public void PublishedFilesAreListedExactly()
    {
        var files = CorpusFile.RealFiles.Where(file => file.Format == "torch-zip").ToList();
        Assert.SkipWhen(files.Count == 0, "There are no published files beside this clone.");
        Assert.All(files, GoldenFile.AssertListed);
    }
}

namespace CloudShards.Formats.Tests.Manifest;

public sealed class CheckpointNameTests
{
    [Theory]

    // One file is named like itself.
    [InlineData("resnet18.pt", "resnet18")]
    [InlineData("team/a/resnet18.pt", "team/a/resnet18")]
    [InlineData("resnet18.pth", "resnet18")]
    [InlineData("resnet18.PTH", "resnet18")]
    [InlineData("runs/last.ckpt", "runs/last")]
    [InlineData("lenet.dat", "lenet")]
    [InlineData("vgg.safetensors", "vgg")]
    [InlineData("gpt2.bin", "gpt2")]
    [InlineData("facenet.pkl", "facenet")]
    [InlineData("model_best.pth.tar", "model_best.pth")]
    [InlineData("v1.5/sd-v1-5.ckpt", "v1.5/sd-v1-5")]
    [InlineData("checkpoint", "checkpoint")]
    [InlineData("a/b.unknown", "a/b.unknown")]
    [InlineData("llama/consolidated.00.pth", "llama/consolidated.00")]
    [InlineData("llama/adapter_model.safetensors", "llama/adapter_model")]
    [InlineData("run/optimizer.pt", "run/optimizer")]
    [InlineData("run/training_args.bin", "run/training_args")]
    [InlineData("sd/unet/diffusion_pytorch_model.fp16.safetensors", "sd/unet/diffusion_pytorch_model.fp16")]

    // A file that a library names the same everywhere is named like its folder.
    [InlineData("llama-3-8b/model.safetensors", "llama-3-8b")]
    [InlineData("llama-3-8b/pytorch_model.bin", "llama-3-8b")]
    [InlineData("sd/unet/diffusion_pytorch_model.safetensors", "sd/unet")]
    [InlineData("runs/checkpoint-500/pytorch_model.bin", "runs/checkpoint-500")]
    [InlineData("model.safetensors", "model")]
    [InlineData("pytorch_model.bin", "pytorch_model")]

    // So is each file of a set.
    [InlineData("llama-3-8b/model.safetensors.index.json", "llama-3-8b")]
    [InlineData("llama-3-8b/model-00001-of-00004.safetensors", "llama-3-8b")]
    [InlineData("llama-3-8b/model-00004-of-00004.safetensors", "llama-3-8b")]
    [InlineData("opt/pytorch_model.bin.index.json", "opt")]
    [InlineData("opt/pytorch_model-00002-of-00007.bin", "opt")]
    [InlineData("deepseek-v3/model-00001-of-000163.safetensors", "deepseek-v3")]
    [InlineData("deepseek-v3/model-000163-of-000163.safetensors", "deepseek-v3")]
    [InlineData("model.safetensors.index.json", "model")]
    [InlineData("sd/unet/diffusion_pytorch_model.safetensors.index.fp16.json", "sd/unet")]
    [InlineData("m/notes.index.json", "m/notes.index.json")]
    [InlineData("model-00001-of-00002.safetensors", "model")]
    public void AnUploadHasTheNameOfItsCheckpoint(string path, string name) => Assert.Equal(name, CheckpointName.FromUpload(path));

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("a/")]
    [InlineData("/resnet18.pt")]
    [InlineData("/model.safetensors")]
    [InlineData("a//b.pt")]
    [InlineData("a//model.safetensors")]
    [InlineData("../resnet18.pt")]
    [InlineData("a/../b.pt")]
    [InlineData("a/./b.pt")]
    [InlineData("a./b.pt")]
    [InlineData("resnet18..pt")]
    [InlineData("my model.pt")]
    [InlineData("epoch=3-step=100.ckpt")]
    [InlineData("größe.pt")]
    [InlineData("a\\b.pt")]
    [InlineData("a:b.pt")]
    [InlineData("a@b.pt")]
    [InlineData("a\n.pt")]
    [InlineData("model-00001-of-00002\n.pt")]
    [InlineData("manifests/a.pt")]
    [InlineData("a/tags.pt")]
    [InlineData("a/tags/model.safetensors")]
    public void WhatGivesNoNameIsRefused(string path)
    {
        var refusal = Assert.Throws<CheckpointFormatException>(() => CheckpointName.FromUpload(path));

        Assert.Equal(CheckpointError.BadName, refusal.Error);
        Assert.Contains($"`{path}`", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ANameHasAtMost512Characters()
    {
        Assert.True(CheckpointName.IsValid(new string('a', CheckpointName.MaxLength)));
        Assert.False(CheckpointName.IsValid(new string('a', CheckpointName.MaxLength + 1)));
        Assert.InRange(
            StoreLayout.Manifest(new string('a', CheckpointName.MaxLength), Digest.Of([])).Length
            + StoreLayout.Tag(new string('a', CheckpointName.MaxLength), new string('a', 128)).Length,
            0,
            2 * 1024);
    }

    [Theory]
    [InlineData("a", true)]
    [InlineData("A-b_c.d/0", true)]
    [InlineData(".hidden", true)]
    [InlineData("tags2/manifest", true)]
    [InlineData("", false)]
    [InlineData("a/", false)]
    [InlineData("/a", false)]
    [InlineData(".", false)]
    [InlineData("..", false)]
    [InlineData("a/..", false)]
    [InlineData("a.", false)]
    [InlineData("tags", false)]
    [InlineData("a/manifests/b", false)]
    [InlineData("ａ", false)]
    public void NamesArePathsOfPlainSegments(string name, bool valid) => Assert.Equal(valid, CheckpointName.IsValid(name));

    [Theory]
    [InlineData("latest", true)]
    [InlineData("v1.2_3-rc", true)]
    [InlineData("manifests", true)]
    [InlineData("", false)]
    [InlineData("..", false)]
    [InlineData("a/b", false)]
    [InlineData("a:b", false)]
    [InlineData("é", false)]
    public void TagsAreOnePlainSegment(string tag, bool valid) => Assert.Equal(valid, CheckpointName.IsTag(tag));

    [Fact]
    public void ATagHasAtMost128Characters()
    {
        Assert.True(CheckpointName.IsTag(new string('a', 128)));
        Assert.False(CheckpointName.IsTag(new string('a', 129)));
    }
}

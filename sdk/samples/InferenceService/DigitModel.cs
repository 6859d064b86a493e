using CloudShards.Formats;
using Quickstart;
using static TorchSharp.torch;

namespace InferenceService;

/// <summary>
/// A classifier and the version that it was loaded from. It is made with one user, who takes it out of service by leaving; whoever
/// classifies enters and leaves. The last one to leave frees its memory.
/// </summary>
internal sealed class DigitModel(CheckpointReference reference, ShardManifest manifest, DigitClassifier module)
{
    /// <summary>Pixels of an image, 8 by 8.</summary>
    public const int Pixels = 64;

    private const int Classes = 10;

    private int _users = 1;

    /// <summary>The version.</summary>
    public CheckpointReference Reference => reference;

    /// <summary>The version's manifest.</summary>
    public ShardManifest Manifest => manifest;

    /// <summary>The module; only for those who have entered.</summary>
    public DigitClassifier Module => module;

    /// <summary>Enters; false where the model is gone.</summary>
    public bool TryEnter()
    {
        for (var users = Volatile.Read(ref _users); users > 0;)
        {
            var found = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (found == users)
            {
                return true;
            }

            users = found;
        }

        return false;
    }

    /// <summary>Leaves.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            module.Dispose();
        }
    }

    /// <summary>The logits of images, each of <see cref="Pixels"/> values in 0..1.</summary>
    public float[][] Classify(float[][] images)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var input = tensor(images.SelectMany(image => image).ToArray()).reshape(images.Length, 1, 8, 8);
        return [.. module.forward(input).data<float>().ToArray().Chunk(Classes)];
    }
}

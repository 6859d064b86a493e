using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Quickstart;

/// <summary>The classifier whose weights are in <c>digits.pt</c>: images [N, 1, 8, 8] of F32 in 0..1 to logits [N, 10].</summary>
internal sealed class DigitClassifier : Module<Tensor, Tensor>
{
    private readonly Module<Tensor, Tensor> features = Sequential(
        Conv2d(1, 32, 3, padding: 1), BatchNorm2d(32), ReLU(), Conv2d(32, 64, 3, padding: 1), BatchNorm2d(64), ReLU(), MaxPool2d(2));

    private readonly Module<Tensor, Tensor> classifier = Sequential(Flatten(), Linear(64 * 4 * 4, 128), ReLU(), Linear(128, 10));

    public DigitClassifier()
        : base(nameof(DigitClassifier))
    {
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => classifier.forward(features.forward(input));
}

namespace CloudShards.Formats.Torch;

/// <summary>
/// What a pickle may still make. Every object that it pushes, remembers or copies is paid for: one that was remembered can be named in two bytes and
/// copied in a few more, so that the pickle's length alone would bound nothing.
/// </summary>
internal sealed class PickleBudget(CheckpointLimits limits)
{
    /// <summary>What a list, tuple, set or dictionary costs beyond one object.</summary>
    public const int Container = 1;

    /// <summary>What a name of a class or function costs beyond one object: three texts.</summary>
    public const int Global = 4;

    /// <summary>What an instance that is not interpreted costs beyond one object.</summary>
    public const int Instance = 6;

    /// <summary>What a tensor without dimensions costs beyond one object; each dimension adds two.</summary>
    public const int Tensor = 16;

    private const int BytesPerObject = 16;

    private long _spent;

    public CheckpointLimits Limits { get; } = limits;

    /// <summary>Pays for bytes.</summary>
    /// <exception cref="CheckpointFormatException">As <see cref="Spend"/>.</exception>
    public void SpendBytes(int bytes) => Spend(bytes / BytesPerObject);

    /// <summary>Pays for objects, or for what takes as much memory.</summary>
    /// <exception cref="CheckpointFormatException">They are more than <see cref="CheckpointLimits.MaxPickleObjects"/>.</exception>
    public void Spend(int objects)
    {
        _spent += objects;
        if (_spent > Limits.MaxPickleObjects)
        {
            throw Errors.LimitExceeded("the objects of the pickle", _spent, Limits.MaxPickleObjects, nameof(Limits.MaxPickleObjects));
        }
    }
}

using System.ComponentModel.DataAnnotations;

namespace InferenceService;

/// <summary>The configuration's section <c>Digits</c>.</summary>
internal sealed class DigitSettings
{
    /// <summary>What the names of the classifier's tensors begin with in the checkpoint; a training checkpoint has others beside them.</summary>
    public string Prefix { get; set; } = "";

    /// <summary>How often the tag is looked at.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "1.00:00:00")]
    public TimeSpan RefreshInterval { get; set; } = TimeSpan.FromSeconds(30);
}

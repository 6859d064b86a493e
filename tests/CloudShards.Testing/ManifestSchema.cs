using NJsonSchema;

namespace CloudShards.Testing;

/// <summary>The published schema of a manifest, <c>manifest.schema.json</c>.</summary>
public static class ManifestSchema
{
    private static readonly Lazy<Task<JsonSchema>> Schema = new(() => JsonSchema.FromFileAsync(Path.Combine(Repository.Root, "manifest.schema.json")));

    /// <summary>The schema itself.</summary>
    public static Task<JsonSchema> ReadAsync() => Schema.Value;

    /// <summary>In what a document is not as the schema says; empty where it conforms.</summary>
    public static async Task<IReadOnlyList<string>> FaultsAsync(string json) => [.. (await ReadAsync()).Validate(json).Select(fault => fault.ToString())];
}

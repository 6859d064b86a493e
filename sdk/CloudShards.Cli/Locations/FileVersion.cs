using System.Net.Http.Headers;

namespace CloudShards.Cli;

/// <summary>What a server says of a file's version.</summary>
/// <param name="ETag">Its ETag, where it has one.</param>
/// <param name="LastModified">When it was written, where that is told.</param>
internal sealed record FileVersion(EntityTagHeaderValue? ETag, DateTimeOffset? LastModified)
{
    /// <summary>No version in particular.</summary>
    public static FileVersion Any { get; } = new(null, null);

    /// <summary>The version that an answer is of.</summary>
    public static FileVersion Of(HttpResponseMessage response) => new(response.Headers.ETag, response.Content.Headers.LastModified);

    /// <summary>Whether an answer may be of this version: no more can be told than both name.</summary>
    public bool Matches(HttpResponseMessage response)
    {
        var other = Of(response);
        return ETag is not null && other.ETag is not null
            ? ETag.Equals(other.ETag)
            : LastModified is null || other.LastModified is null || LastModified == other.LastModified;
    }
}

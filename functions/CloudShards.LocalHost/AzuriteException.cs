namespace CloudShards.LocalHost;

/// <summary>Azurite could not be installed or started. The message says why and what to do.</summary>
/// <param name="message">What was tried and found, and what to do.</param>
/// <param name="innerException">What revealed it, if an exception did.</param>
public sealed class AzuriteException(string message, Exception? innerException = null) : Exception(message, innerException);

using Azure.Core;
using Azure.Identity;
using CloudShards;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;

namespace InferenceService;

/// <summary>A service that classifies digits with whatever version of the model its tag names.</summary>
internal static class InferenceApp
{
    private const int MaxImages = 1_024;

    /// <summary>The service, not started yet.</summary>
    /// <param name="args">Settings, as in <c>--CloudShards:Container=https://…</c>, over those of <c>appsettings.json</c>.</param>
    /// <param name="store">Where the shards are, if the settings do not say.</param>
    public static WebApplication Create(string[] args, IShardStore? store = null)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddSingleton<TokenCredential>(_ => new DefaultAzureCredential());
        builder.Services.AddCloudShards(builder.Configuration.GetSection("CloudShards"), store is null ? null : _ => store);
        builder.Services.AddOptions<DigitSettings>().BindConfiguration("Digits").ValidateDataAnnotations().ValidateOnStart();
        builder.Services.AddSingleton<ModelSlot>().AddHostedService<ModelRefresh>();
        builder.Services.AddHealthChecks().AddCheckpoints(tags: ["store"]).AddCheck<ModelSlot>("model", tags: ["ready"]);
        builder.Services.AddProblemDetails();

        var app = builder.Build();
        app.MapHealthChecks("/health");
        app.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false });
        app.MapHealthChecks("/health/ready", new HealthCheckOptions { Predicate = check => check.Tags.Contains("ready") });
        app.MapPost("/classify", Classify);
        return app;
    }

    private static IResult Classify(ClassifyRequest request, ModelSlot slot)
    {
        if (request.Images is not { Length: > 0 and <= MaxImages } images || images.Any(image => image?.Length != DigitModel.Pixels))
        {
            return Results.Problem(
                $"`images` must have 1 to {MaxImages} images of {DigitModel.Pixels} pixels in 0..1.", statusCode: StatusCodes.Status400BadRequest);
        }

        if (!slot.TryEnter(out var model))
        {
            return Results.Problem("No version of the model is loaded yet. Ask /health/ready.", statusCode: StatusCodes.Status503ServiceUnavailable);
        }

        try
        {
            var logits = model.Classify(images);
            return Results.Ok(new ClassifyResponse(model.Reference.ToString(), [.. logits.Select(row => row.IndexOf(row.Max()))], logits));
        }
        finally
        {
            model.Leave();
        }
    }
}

/// <summary>Images to classify.</summary>
/// <param name="Images">For each, its pixels row by row, 0 to 1.</param>
internal sealed record ClassifyRequest(float[][]? Images);

/// <summary>What images show.</summary>
/// <param name="Version">The version of the model that answered.</param>
/// <param name="Digits">The digit of each image.</param>
/// <param name="Logits">Its ten logits.</param>
internal sealed record ClassifyResponse(string Version, int[] Digits, float[][] Logits);

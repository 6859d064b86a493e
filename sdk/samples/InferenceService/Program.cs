using InferenceService;

await InferenceApp.Create(args).RunAsync();

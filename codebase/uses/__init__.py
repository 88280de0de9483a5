"""What a trained model is good for: neighbours, outliers, noise, compression, few labels."""

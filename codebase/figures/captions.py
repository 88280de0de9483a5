"""What one sees in each figure: a title, and a sentence with the formula where there is one."""

CAPTIONS = {
    "samples": (
        "Samples",
        "Latents drawn from the prior, z ~ p(z), and what the decoder makes of them: the mean of "
        "p(x|z), which for binary pixels is their probabilities, and pixels drawn from it.",
    ),
    "reconstructions": (
        "Reconstructions",
        "Test images, the mean of p(x|z) at the mean z of their posterior q(z|x), and pixels drawn "
        "from it; of an autoencoder, which has no density, what it redraws.",
    ),
    "filters": (
        "First-layer filters",
        "Each unit's weights over the pixels, those of the longest first: light where ink moves it "
        "up, dark where it moves it down, each on its own scale, mid-grey at 0.",
    ),
    "activations": (
        "Activations",
        "How often the numbers of the code have which value, over test images and units, on a "
        "logarithmic scale, and how active each unit is on average: the share of images on which "
        "it differs from 0, or its mean where units are sigmoids.",
    ),
    "restored": (
        "Restored images",
        "Test images with the noise that the model was trained against, what it makes of them, and "
        "the truth.",
    ),
    "reconstructions_by_z": (
        "Reconstructions by the size of the code",
        "Test images, and what is redrawn of them from so many numbers, with the squared error per "
        "image, summed over pixels, on all test images.",
    ),
    "activations_by_weight": (
        "Activations by the weight of the penalty",
        "How often the numbers of the code have which value, without a penalty (weight 0) and with "
        "one, on a logarithmic scale.",
    ),
    "components": (
        "Component means",
        "The decoder at the mixture's means m_k, the most used first, with the share of the test "
        "set whose posterior mean is likeliest under component k, argmax_k p(k|z), and how much of "
        "that share its commonest digit has.",
    ),
    "interpolation": (
        "Interpolation",
        "From one test image to another of another digit: straight, a + t (b − a), and along the "
        "arc about the origin, (sin((1−t)Ω) a + sin(tΩ) b) / sin Ω for a and b of one length and "
        "the angle Ω between them.",
    ),
    "arithmetic": (
        "Attribute arithmetic",
        "What tells one digit from another, as a vector: z(x) + t · (mean z of one digit's test "
        "images − mean z of the other's), decoded; t = 0 is the reconstruction, t = 1 the whole "
        "difference.",
    ),
    "traversals": (
        "Traversals",
        "One latent dimension a row, most kl first, moved over six standard deviations of the "
        "prior while the others stay at a test image's posterior mean; a dimension without kl "
        "changes nothing. An autoencoder has no prior: its codes' variance and standard deviation.",
    ),
    "kl_per_dimension": (
        "kl per dimension",
        "Where the code's nats go: KL(q(z_d|x) ‖ p(z_d)) = ½ (m² + v − 1 − log v), the mean over "
        "the test set, which sums to the kl of the bound; a dimension is active if its posterior "
        "mean varies over the images by more than 0.01. For a mixture, with r_k = p(k|z), "
        "dimension d has log q(z_d|x) − Σ_k r_k log N(z_d; m_kd, v_kd) and the choice of component "
        "KL(r ‖ 1/K). For any other posterior or prior a dimension has the KL of the Gaussians of "
        "their means and variances there, and the joint part is what kl has beyond these: how the "
        "dimensions depend on each other, and what is not Gaussian.",
    ),
    "map": (
        "Map of the latent plane",
        "The posterior mean of every test image, coloured by its digit: the two numbers the "
        "decoder redraws it from.",
    ),
    "manifold": (
        "Manifold",
        "The decoder over the latent plane, at z_d = F_d⁻¹((i + ½) / 20) with F_d the prior's "
        "distribution function of that dimension: every row, and every column, stands for as much "
        "of the prior, and where its dimensions are independent every picture.",
    ),
    "pca": (
        "PCA of the codes",
        "The plane along which the posterior means vary most, coloured by digit; the accuracy is "
        "that of naming an image's digit by its ten nearest neighbours.",
    ),
    "tsne": (
        "t-SNE of the codes",
        "A map that keeps neighbours together, coloured by digit; distances between groups, and "
        "their sizes, mean nothing.",
    ),
    "clustering": (
        "Components as clusters",
        "Which digits each component of the mixture holds. Accuracy matches each digit with one "
        "component (Hungarian), so with K far above ten it is small where purity, which gives "
        "every component to its commonest digit, is not; NMI = 2 I(c; y) / (H(c) + H(y)).",
    ),
    "class_conditional": (
        "Class-conditional samples",
        "The same z ~ p(z) down a column, every label y along it: y says which digit, z in what "
        "hand.",
    ),
    "style_transfer": (
        "Style transfer",
        "A test image's z, the mean of q(z|x, ŷ), drawn with every label: what stays when the "
        "digit changes, such as slant and stroke, is what z holds.",
    ),
    "calibration": (
        "Calibration",
        "Is the classifier right as often as it is sure? The accuracy of the test images by "
        "confidence max q(y|x), with Wilson's 95 % intervals; the expected calibration error is "
        "ECE = Σ_b n_b/N · |accuracy_b − confidence_b|.",
    ),
    "mistakes": (
        "Most confident mistakes",
        "The test images that the classifier is wrong about with the highest q(ŷ|x).",
    ),
    "likelihood": (
        "Log-likelihood",
        "How well each test image is explained, log p(x) ≈ log 1/M Σ_i p(x, z_i) / q(z_i|x) with "
        "z_i ~ q(z|x), and the images explained best and worst.",
    ),
    "outliers": (
        "Outliers",
        "The same log p(x) of images from elsewhere; AUROC is the probability that such an image "
        "scores below a test image, 1 where p(x) tells them apart and ½ where it cannot.",
    ),
    "samples_by_z": (
        "Samples by the size of z",
        "Runs that differ in the number of latent dimensions: few leave too little room to say "
        "what the digit looks like, many leave regions of the prior that no image was coded to.",
    ),
    "rate_distortion": (
        "Rate and distortion over β",
        "What the training loss rec + β · kl buys on the test set: a larger β pays fewer nats for "
        "the code (kl) and more for the pixels (rec); their sum, the bound, is what β = 1 trains.",
    ),
    "clustering_by_k": (
        "Clusters by the number of components",
        "How well the mixture's components agree with the digits they never saw, over K.",
    ),
}

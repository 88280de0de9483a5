"""Everything the grader says, in English and Spanish."""

from dataclasses import dataclass, field

LANGUAGES = ("en", "es")
MAX_VALUE = 300


def plain(text):
    """Text of a submission's making on one line, without control characters, and short."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_VALUE]


@dataclass(frozen=True, init=False)
class Note:
    """A message and the values it mentions; said in a language only when it is reported."""

    key: str
    values: dict = field(compare=True)

    def __init__(self, key, **values):
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "values", values)

    def say(self, language):
        """The message as text; values that are notes are said too."""
        said = {
            k: v.say(language) if isinstance(v, Note) else plain(str(v))
            for k, v in self.values.items()
        }
        return MESSAGES[self.key][LANGUAGES.index(language)].format(**said)


MESSAGES = {
    # No submission
    "refused.absent": (
        "{path} does not exist; give a zip, or a folder that holds a submission.",
        "{path} no existe; indique un zip o una carpeta con una entrega.",
    ),
    "refused.nothing": (
        "{path} holds no zip and none of the graded files {files}; give a submission, or a folder"
        " of submissions.",
        "{path} no contiene ningún zip ni ninguno de los archivos que se califican, {files}; "
        "indique una entrega o una carpeta de entregas.",
    ),
    "refused.empty": (
        "{path} holds none of the graded files {files}; what lies there: {found}.",
        "{path} no contiene ninguno de los archivos que se califican, {files}; lo que hay: "
        "{found}.",
    ),
    "refused.damaged": (
        "{path} is damaged and cannot be unpacked; hand in a new zip of the folder.",
        "{path} está dañado y no se puede descomprimir; hay que entregar un zip nuevo de la "
        "carpeta.",
    ),
    "refused.no_zip": (
        "{path} cannot be unpacked: it is no zip; hand in a zip of the folder.",
        "{path} no se puede descomprimir: no es un zip; hay que entregar un zip de la carpeta.",
    ),
    "refused.other_archive": (
        "{path} is a {kind}, which is not unpacked here; hand in a zip of the folder.",
        "{path} es un {kind}, que aquí no se descomprime; hay que entregar un zip de la carpeta.",
    ),
    "refused.denied": (
        "{path} cannot be read: permission to do so is missing.",
        "{path} no se puede leer: falta el permiso para hacerlo.",
    ),
    "refused.unreadable": (
        "{path} cannot be read (system error {code}).",
        "{path} no se puede leer (error {code} del sistema).",
    ),
    "refused.too_large": (
        "{path} holds more than {size} MB of Python and JSON files; leave out {entry}.",
        "{path} contiene más de {size} MB en archivos Python y JSON; hay que quitar {entry}.",
    ),
    "refused.too_many": (
        "{path} holds {count} Python and JSON files, more than {most}; leave out those of {entry}.",
        "{path} contiene {count} archivos Python y JSON, más de {most}; hay que quitar los de "
        "{entry}.",
    ),
    "refused.too_deep": (
        "{path}: {entry} lies more than {most} folders deep; hand it in with fewer.",
        "{path}: {entry} está a más de {most} carpetas de profundidad; hay que entregarlo con "
        "menos.",
    ),
    "refused.outside": (
        "{path}: the entry {entry} points outside of the zip; leave it out.",
        "{path}: la entrada {entry} apunta fuera del zip; hay que quitarla.",
    ),
    "refused.link": (
        "{path}: the entry {entry} is a link; put the file itself there, or leave it out.",
        "{path}: la entrada {entry} es un enlace; hay que poner el archivo mismo, o quitarla.",
    ),
    "refused.password": (
        "{path} is protected by a password; hand it in without one.",
        "{path} está protegido con contraseña; hay que entregarlo sin ella.",
    ),
    "refused.own_training": (
        "--train: this project's own code could not be trained to compare with: {message}",
        "--train: no se pudo entrenar el código de este proyecto para comparar: {message}",
    ),
    "refused.unwritten": (
        "{folder} cannot be written to (system error {code}); give another folder by --out.",
        "no se puede escribir en {folder} (error {code} del sistema); indique otra carpeta con "
        "--out.",
    ),
    "refused.no_data": ("--train: {message}", "--train: {message}"),
    "grader_failed": (
        "the grader itself failed on {path} ({where}: {message})",
        "el propio calificador falló con {path} ({where}: {message})",
    ),
    # No answer
    "not_implemented": ("not implemented yet ({place})", "todavía no está implementado ({place})"),
    "missing": ("`{name}` is not defined", "`{name}` no está definido"),
    "file_missing": ("{path} was not handed in", "no se entregó {path}"),
    "file_misnamed": (
        "{path} was not handed in; {found} lies there, and capital letters count in its name",
        "no se entregó {path}; está {found}, y en su nombre cuentan las mayúsculas",
    ),
    "returned": (
        "returned something of type {kind} where tensors were expected",
        "devolvió algo de tipo {kind} donde se esperaban tensores",
    ),
    "called_exit": ("the code calls exit() ({place})", "el código llama a exit() ({place})"),
    "out_of_memory": (
        "the code asks for more memory than the limit ({place})",
        "el código pide más memoria de la permitida ({place})",
    ),
    "import_failed": (
        "an import fails at {place}: {message}",
        "falla un import en {place}: {message}",
    ),
    "no_return": (
        "nothing is returned: a `return` is missing (the function at {place})",
        "no devuelve nada: falta un `return` (la función de {place})",
    ),
    "not_here": (
        "{place} computes with `{name}`, which could not be imported; what is graded must do "
        "without it",
        "{place} calcula con `{name}`, que no se pudo importar; lo que se califica debe "
        "prescindir de eso",
    ),
    "not_text": (
        "{place} is not saved as UTF-8 text, so Python cannot read it; save it as UTF-8",
        "{place} no está guardado como texto UTF-8, así que Python no puede leerlo; hay que "
        "guardarlo como UTF-8",
    ),
    "raised": (
        "raised {kind} at {place}: {message} — line: {line}",
        "lanzó {kind} en {place}: {message} — línea: {line}",
    ),
    "raised_there": (
        "raised {kind} at {place}: {message}",
        "lanzó {kind} en {place}: {message}",
    ),
    "raised_somewhere": ("raised {kind}: {message}", "lanzó {kind}: {message}"),
    "no_syntax": (
        "is no Python {python}, which the grader runs, at {place}: {message} — line: {line}",
        "no es Python {python}, que es el que usa el calificador, en {place}: {message} — línea: "
        "{line}",
    ),
    "no_syntax_there": (
        "is no Python {python}, which the grader runs, at {place}: {message}",
        "no es Python {python}, que es el que usa el calificador, en {place}: {message}",
    ),
    "no_network": (
        "the model has no attribute {name}: its networks are looked for as enc, dec and cls, as in"
        " the starter code",
        "el modelo no tiene un atributo {name}: las redes se buscan como enc, dec y cls, como en "
        "el código inicial",
    ),
    "spread_of_kl": (
        "with the posterior as the prior the kl should be 0 at every z; it varies by {spread}",
        "con la posterior como prior la kl debería ser 0 en todo z; varía en {spread}",
    ),
    "timed_out": ("did not end within {seconds} s", "no terminó en {seconds} s"),
    "timed_out_at": (
        "did not end within {seconds} s; it was at {place} then: {line}",
        "no terminó en {seconds} s; estaba entonces en {place}: {line}",
    ),
    "died": (
        "the process ended in the middle of the call (status {status})",
        "el proceso terminó en medio de la llamada (código de salida {status})",
    ),
    "talked_nonsense": (
        "the process sent something that is no answer",
        "lo que envió el proceso no es una respuesta",
    ),
    "bad_parameters": (
        "the parameter {name} is not finite when the model is built",
        "el parámetro {name} no es finito al construirse el modelo",
    ),
    "bad_networks": (
        "the networks do not answer as an encoder, decoder and classifier should: m and v > 0 per"
        " image, logits per pixel, each depending on its input",
        "las redes no responden como un encoder, un decoder y un clasificador: m y v > 0 por "
        "imagen, logits por píxel, y que cada salida dependa de su entrada",
    ),
    "other_networks": (
        "the trained weights are not of the course's networks, so their numbers do not compare",
        "los pesos entrenados no son de las redes del curso, así que sus números no son "
        "comparables",
    ),
    "no_z_pre": (
        "the model has no parameter z_pre of shape (1, 2k, z_dim)",
        "el modelo no tiene un parámetro z_pre de forma (1, 2k, z_dim)",
    ),
    "output": (
        "should return {names}; {got} value came",
        "debería devolver {names}; devolvió {got} valor",
    ),
    "outputs": (
        "should return {names}; {got} values came",
        "debería devolver {names}; devolvió {got} valores",
    ),
    # What was seen
    "numbers": ("expected {expected}, got {got}", "se esperaba {expected}, se obtuvo {got}"),
    "numbers_within": (
        "expected {expected} ± {tolerance}, got {got}",
        "se esperaba {expected} ± {tolerance}, se obtuvo {got}",
    ),
    "at": ("at {where}: {then}", "en {where}: {then}"),
    "of_term": ("{term}: {then}", "{term}: {then}"),
    "shapes": (
        "expected the shape {expected}, got {got}",
        "se esperaba forma {expected}, se obtuvo {got}",
    ),
    "types": (
        "expected {expected}, as m and v are, got {got}",
        "se esperaba {expected}, como m y v, se obtuvo {got}",
    ),
    "not_scalar": (
        "{term} has the shape {shape}, not that of one number",
        "{term} tiene forma {shape}: no es un solo número",
    ),
    "not_tensor": (
        "the terms must be tensors; some are Python numbers",
        "los términos deben ser tensores; algunos son números de Python",
    ),
    "no_gradient": (
        "the value of {name} carries no gradient",
        "el valor de {name} no tiene gradiente",
    ),
    "no_gradient_to": (
        "no gradient of {name} reaches {argument}",
        "ningún gradiente de {name} llega a {argument}",
    ),
    "gradient": (
        "the gradient of {of} by {name} is wrong",
        "el gradiente de {of} respecto de {name} es incorrecto",
    ),
    "slope": (
        "the bound's slope along a step in {part} against its gradient's: {then}",
        "pendiente de la cota al dar un paso en {part}, comparada con la que indica su gradiente:"
        " {then}",
    ),
    "sharp": (
        "with posteriors of variance 1e-8, where z is all but m: {then}",
        "con q(z|x) de varianza 1e-8, donde z es casi igual a m: {then}",
    ),
    "no_spread": (
        "the draws do not vary as samples should",
        "las muestras no varían como deberían",
    ),
    "constant": (
        "{name} returns the same value for any input",
        "{name} devuelve el mismo valor para cualquier entrada",
    ),
    "same_again": (
        "two calls in a row use the same noise",
        "dos llamadas seguidas usan el mismo ruido",
    ),
    "same_noise": (
        "every call uses the same noise",
        "todas las llamadas usan el mismo ruido",
    ),
    "dependent": (
        "the noise of different elements is not independent",
        "el ruido de distintos elementos no es independiente",
    ),
    "not_normal": (
        "the noise is not normally distributed",
        "el ruido no tiene distribución normal",
    ),
    "not_finite": (
        "the value is infinite or not a number",
        "el valor es infinito o no es un número",
    ),
    "one_size": (
        "only minibatches of {size} images work",
        "solo funcionan minibatches de {size} imágenes",
    ),
    "more_spread": (
        "rec varies from call to call by {got} nats, where independent noise makes it {expected}",
        "rec varía {got} nats de una llamada a otra; con ruido independiente serían {expected}",
    ),
    "correlation": (
        "correlation of kl and rec over repeated calls: {then}",
        "correlación entre kl y rec en llamadas repetidas: {then}",
    ),
    "spread": (
        "rec varies by {spread} nats from call to call although z does not",
        "rec varía {spread} nats de una llamada a otra aunque z no cambie",
    ),
    # Remarks
    "no_broadcast": (
        "{name} does not broadcast {shapes} (not required)",
        "{name} no hace broadcasting de {shapes} (no es obligatorio)",
    ),
    "nearly_scalar": (
        "the terms have one entry, but shape (1,); a scalar has shape ()",
        "cada término es un solo número, pero con forma (1,); la de un escalar es ()",
    ),
    "closed_form": ("{term} is computed in closed form", "{term} se calcula con la forma cerrada"),
    "one_sample": (
        "{term} is a sampled, unbiased estimate; the closed form (`kl_normal`) has no noise",
        "{term} se estima por muestreo, sin sesgo; la forma cerrada (`kl_normal`) no tiene ruido",
    ),
    "not_judged": (
        "could not be told with these networks; counted as right",
        "no se pudo determinar con estas redes; se da por correcto",
    ),
    "iwae_absent": ("not implemented, and not required", "no implementada; no es obligatoria"),
    "iwae_right": (
        "implemented; its means for M = 1, 8 and 16 are right",
        "implementada; sus medias con M = 1, 8 y 16 son correctas",
    ),
    "iwae_unknown": ("not checked", "no se verificó"),
    "report.stand_in": (
        "judged with this project's {names} in place of what was handed in, which loses points of"
        " its own",
        "evaluado con {names} de este proyecto en lugar de lo entregado, que ya pierde puntos por"
        " su cuenta",
    ),
    "report.stand_ins": (
        "judged with this project's {names} in place of what was handed in, which loses points of"
        " its own",
        "evaluados con {names} de este proyecto en lugar de lo entregado, que ya pierde puntos por"
        " su cuenta",
    ),
    "report.others": (
        "This was handed in too, and not looked at: {paths}.",
        "También se entregó, y no se miró: {paths}.",
    ),
    "report.foreign": (
        "Not saved as UTF-8 text, which not every Python reads: {paths}; save it as UTF-8.",
        "No está guardado como texto UTF-8, y no todo Python lo puede leer: {paths}; hay que "
        "guardarlo como UTF-8.",
    ),
    "report.gpu": (
        "Written for a GPU; graded on the CPU, as if that were one.",
        "Escrito para una GPU; evaluado en la CPU, como si esta lo fuera.",
    ),
    # Likely causes: values
    "cause.function": (
        "`{name}` in utils.py; with this project's in its place this is right",
        "`{name}` de utils.py; con la de este proyecto en su lugar, esto es correcto",
    ),
    "cause.nan": ("the value is not a number (NaN)", "el valor no es un número (NaN)"),
    "cause.inf": (
        "something overflows or underflows: the value is infinite",
        "hay un desbordamiento (overflow o underflow): el valor es infinito",
    ),
    "cause.sign": ("the sign is the opposite one", "el signo es el opuesto"),
    "cause.v_as_s": (
        "looks like v was used as a standard deviation; it is a variance",
        "parece que v se usó como desviación estándar; es una varianza",
    ),
    "cause.s_as_v": (
        "looks like √v was used where the variance v belongs",
        "parece que se usó √v donde corresponde la varianza v",
    ),
    "cause.mean_over_dim": (
        "looks like a mean over the dimensions instead of a sum",
        "parece un promedio sobre las dimensiones en lugar de una suma",
    ),
    "cause.no_constant": (
        "the value is ours plus ½ log 2π per dimension: the normalizing constant is missing",
        "el valor es el correcto más ½ log 2π por dimensión: falta la constante de normalización",
    ),
    "cause.constant_once": (
        "½ log 2π is subtracted once instead of once per dimension",
        "½ log 2π se resta una sola vez en lugar de una vez por dimensión",
    ),
    "cause.constant_doubled": (
        "log 2π is subtracted in full per dimension; its half belongs there",
        "se resta log 2π por dimensión; corresponde la mitad",
    ),
    "cause.half_missing_square": (
        "the factor ½ of (x − m)²/v is missing",
        "falta el factor ½ de (x − m)²/v",
    ),
    "cause.half_missing_log_v": ("the factor ½ of log v is missing", "falta el factor ½ de log v"),
    "cause.half_missing": (
        "the value is twice ours: a factor ½ is missing",
        "el valor es el doble del correcto: falta un factor ½",
    ),
    "cause.log_v_missing": ("the term with log v is missing", "falta el término con log v"),
    "cause.log_v_sign": ("the sign of log v is wrong", "el signo de log v es incorrecto"),
    "cause.s_in_log": (
        "looks like ½ log √v; the term is ½ log v, which is log √v",
        "parece que se usó ½ log √v; el término es ½ log v, es decir, log √v",
    ),
    "cause.square_over_s": (
        "(x − m)² is divided by √v instead of v",
        "(x − m)² se divide por √v en lugar de v",
    ),
    "cause.square_over_v2": (
        "(x − m)² is divided by v² instead of v",
        "(x − m)² se divide por v² en lugar de v",
    ),
    "cause.exp_missing": (
        "the value is a density, not its logarithm",
        "el valor es una densidad, no su logaritmo",
    ),
    "cause.log_k_missing": (
        "looks like log_sum_exp where log_mean_exp belongs: the weights 1/k are missing",
        "parece log_sum_exp donde corresponde log_mean_exp: faltan los pesos 1/k",
    ),
    "cause.log_k_doubled": (
        "the weights 1/k are counted twice",
        "los pesos 1/k se cuentan dos veces",
    ),
    "cause.log_k_sign": (
        "log k is added instead of subtracted",
        "log k se suma en lugar de restarse",
    ),
    "cause.mean_of_logs": (
        "looks like a mean of logarithms instead of the logarithm of a mean",
        "parece un promedio de logaritmos en lugar del logaritmo de un promedio",
    ),
    "cause.sum_of_logs": (
        "looks like a sum of the components' logarithms: a product, not a mixture",
        "parece una suma de los logaritmos de las componentes: un producto, no una mezcla",
    ),
    "cause.largest_component": (
        "looks like the largest component only",
        "parece que solo se usa la componente más grande",
    ),
    "cause.per_coordinate": (
        "looks like the mixture was taken per coordinate and then summed; sum over coordinates "
        "first",
        "parece que la mezcla se calculó por coordenada y luego se sumó; primero hay que sumar "
        "sobre las coordenadas",
    ),
    "cause.wrong_axis": (
        "looks like the mean was taken over the batch instead of the components",
        "parece que el promedio se tomó sobre el minibatch en lugar de sobre las componentes",
    ),
    "cause.no_log_mean_exp": (
        "densities vanish in float32 far from every component; stay in logarithms (log_mean_exp)",
        "lejos de toda componente las densidades se anulan en float32; hay que trabajar siempre "
        "con logaritmos (log_mean_exp)",
    ),
    # Likely causes: samples
    "cause.mean_ignored": ("looks like m is not added", "parece que no se suma m"),
    "cause.no_noise": (
        "looks like there is no noise: the mean is returned",
        "parece que no hay ruido: se devuelve la media",
    ),
    "cause.unit_noise": (
        "looks like the noise is not scaled by √v",
        "parece que el ruido no se multiplica por √v",
    ),
    "cause.uniform_noise": (
        "looks like uniform noise (torch.rand) instead of normal noise (torch.randn)",
        "parece ruido uniforme (torch.rand) en lugar de normal (torch.randn)",
    ),
    "cause.log_variance": (
        "looks like v was taken for a logarithm of the variance",
        "parece que v se interpretó como el logaritmo de la varianza",
    ),
    "cause.shared_rows": (
        "the whole batch shares one draw of the noise",
        "todo el minibatch comparte una misma muestra de ruido",
    ),
    "cause.shared_columns": (
        "the dimensions of an element share one draw of the noise",
        "las dimensiones de un elemento comparten una misma muestra de ruido",
    ),
    "cause.reseeded": (
        "looks like a seed is set in the function itself",
        "parece que la propia función fija una semilla",
    ),
    "cause.other_type": (
        "looks like the noise is drawn in a type of its own; torch.randn_like takes that of v",
        "parece que el ruido se genera con un tipo propio; torch.randn_like lo genera con el de v",
    ),
    "cause.detached": (
        "looks like some of it was cut from the graph (detach, no_grad, .data, .item(), "
        "torch.normal, .sample())",
        "parece que una parte quedó fuera del grafo de cómputo (detach, no_grad, .data, .item(), "
        "torch.normal, .sample())",
    ),
    # Likely causes: bounds
    "cause.no_batch_mean": (
        "a value per image came: the mean over the minibatch is missing",
        "devuelve un valor por imagen: falta el promedio sobre el minibatch",
    ),
    "cause.sum_over_batch": (
        "looks like a sum over the minibatch instead of a mean",
        "parece una suma sobre el minibatch en lugar de un promedio",
    ),
    "cause.mean_over_pixels": (
        "looks like a mean over the pixels instead of a sum",
        "parece un promedio sobre los píxeles en lugar de una suma",
    ),
    "cause.sum_and_sign": (
        "the sign is the opposite one, and it is a sum over the minibatch",
        "el signo es el opuesto, y es una suma sobre el minibatch",
    ),
    "cause.elbo_sign": (
        "the ELBO is returned instead of its negative",
        "se devuelve la ELBO en lugar de la ELBO negativa",
    ),
    "cause.swapped": ("kl and rec are swapped", "kl y rec están intercambiados"),
    "cause.order": (
        "the terms are in another order; nelbo, kl_z, kl_y, rec is asked for",
        "los términos están en otro orden; se piden como nelbo, kl_z, kl_y, rec",
    ),
    "cause.no_sampling": (
        "looks like the mean of q(z|x) is used instead of a sample",
        "parece que se usa la media de q(z|x) en lugar de una muestra",
    ),
    "cause.shared_noise": (
        "looks like images or dimensions share one draw of the noise",
        "parece que las imágenes o las dimensiones comparten una misma muestra de ruido",
    ),
    "cause.size": (
        "looks like the code assumes {size} images in a minibatch; use the size of x",
        "parece que el código supone {size} imágenes por minibatch; hay que usar el tamaño de x",
    ),
    "cause.swapped_arguments": (
        "looks like x and the logits changed places in log_bernoulli_with_logits",
        "parece que x y los logits están intercambiados en log_bernoulli_with_logits",
    ),
    "cause.sigmoid_as_logits": (
        "looks like probabilities, after a sigmoid, were given where logits belong",
        "parece que se pasaron probabilidades, tras una sigmoide, donde corresponden logits",
    ),
    "cause.soft_labels": (
        "looks like q(y|x) itself was given as the label; every label is to be tried, one-hot",
        "parece que se pasó q(y|x) como etiqueta; hay que probar cada etiqueta, en one-hot",
    ),
    "cause.reshaped_wrong": (
        "looks like the 10·batch values were reshaped in another order than they were made in: "
        "(10, batch) and (batch, 10) are confused",
        "parece que los 10·batch valores se reordenaron distinto de como se crearon: se confunden "
        "(10, batch) y (batch, 10)",
    ),
    "cause.prior_sample": (
        "looks like z is drawn from N(0, I) instead of q(z|x)",
        "parece que z se muestrea de N(0, I) en lugar de q(z|x)",
    ),
    "cause.images_mixed": (
        "looks like the weights of different images are averaged together: after `duplicate` the "
        "copies are outermost",
        "parece que se promedian juntos los pesos de imágenes distintas: tras `duplicate`, las "
        "copias quedan en el eje externo",
    ),
    "cause.kl_reversed": (
        "looks like KL(p ‖ q) instead of KL(q ‖ p)",
        "parece KL(p ‖ q) en lugar de KL(q ‖ p)",
    ),
    "cause.one_missing": (
        "the −1 per dimension of the closed form is missing",
        "falta el −1 por dimensión de la forma cerrada",
    ),
    "cause.no_logits": (
        "probabilities are formed before their logarithm is taken, and vanish or are clamped; use"
        " log_bernoulli_with_logits",
        "se calculan probabilidades antes de tomar el logaritmo, y se anulan o se recortan; hay "
        "que usar log_bernoulli_with_logits",
    ),
    "cause.standard_normal_prior": (
        "looks like the KL to N(0, I); the prior is the mixture",
        "parece la KL respecto de N(0, I); la prior es la mezcla",
    ),
    "cause.no_log_q": ("looks like log q(z|x) is missing", "parece que falta log q(z|x)"),
    "cause.no_log_p": ("looks like log p(z) is missing", "parece que falta log p(z)"),
    "cause.other_sample": (
        "the KL estimate draws a z of its own; it must use the reconstruction's",
        "la estimación de la KL usa otra muestra z; debe usar la misma que la reconstrucción",
    ),
    "cause.unweighted_sum": (
        "the labels are summed without their weights q(y|x)",
        "las etiquetas se suman sin sus pesos q(y|x)",
    ),
    "cause.unweighted_mean": (
        "the labels are averaged equally instead of by q(y|x)",
        "las etiquetas se promedian por igual en lugar de ponderarse con q(y|x)",
    ),
    "cause.unweighted_all": (
        "labels and images are summed, without weights",
        "se suma sobre etiquetas e imágenes, sin pesos",
    ),
    "cause.best_label": (
        "only the most probable label is used; the expectation runs over all ten",
        "solo se usa la etiqueta más probable; la esperanza recorre las diez",
    ),
    "cause.mean_over_labels": (
        "looks like a mean over the labels of the weighted terms; they are to be summed",
        "parece un promedio sobre las etiquetas de los términos ponderados; hay que sumarlos",
    ),
    "cause.paired_wrong": (
        "the weights q(y|x) meet the wrong images or labels: after `duplicate` the copies are "
        "outermost",
        "los pesos q(y|x) se emparejan con imágenes o etiquetas equivocadas: tras `duplicate`, "
        "las copias quedan en el eje externo",
    ),
    "cause.sampled_label": (
        "looks like the label is sampled; the expectation over ten labels is to be exact",
        "parece que se muestrea la etiqueta; la esperanza sobre las diez etiquetas debe ser "
        "exacta",
    ),
    "cause.log_10_missing": (
        "log 10 is missing: it is the negative entropy of q(y|x), not its KL to the uniform prior",
        "falta log 10: es la entropía de q(y|x) con signo negativo, no su KL respecto de la prior"
        " uniforme",
    ),
    "cause.entropy": (
        "it is the entropy of q(y|x), not its KL to the uniform prior",
        "es la entropía de q(y|x), no su KL respecto de la prior uniforme",
    ),
    "cause.p_not_log": (
        "1/10 is used where its logarithm belongs",
        "se usa 1/10 donde corresponde su logaritmo",
    ),
    "cause.log_of_softmax": (
        "log(softmax(·)) of a sure classifier is −∞; use log_softmax",
        "si el clasificador está muy seguro, log(softmax(·)) da −∞; hay que usar log_softmax",
    ),
    # Titles of checks
    "title.shape": ("shape", "forma"),
    "title.mean": ("mean", "media"),
    "title.variance": ("variance", "varianza"),
    "title.distribution": ("independent normal noise", "ruido normal e independiente"),
    "title.gradient": ("gradient", "gradiente"),
    "title.values": ("values", "valores"),
    "title.extremes": ("extreme inputs", "entradas extremas"),
    "title.stability": ("numerical stability", "estabilidad numérica"),
    "title.scalars": ("scalars", "escalares"),
    "title.total": ("bound = sum of terms", "cota = suma de términos"),
    "title.kl": ("KL", "KL"),
    "title.kl_y": ("KL of the label", "KL de la etiqueta"),
    "title.kl_z": ("KL of z", "KL de z"),
    "title.rec": ("reconstruction", "reconstrucción"),
    "title.minibatch": ("mean over the minibatch", "promedio sobre el minibatch"),
    "title.same_sample": ("same z in both terms", "misma muestra z en ambos términos"),
    "title.expectation": ("exact over labels", "exacta sobre las etiquetas"),
    "title.iwae": ("IWAE bound (no points)", "cota IWAE (sin puntos)"),
    "title.kl_normal": ("given by the course", "dada por el curso"),
    "title.kl_cat": ("given by the course", "dada por el curso"),
    "title.log_bernoulli_with_logits": ("given by the course", "dada por el curso"),
    # The report
    "report.title": ("Grade of {name}", "Calificación de {name}"),
    "report.total": (
        "**{earned} of {points} points** that code can earn",
        "**{earned} de {points} puntos** que el código puede obtener",
    ),
    "report.item": ("Item", "Ítem"),
    "report.check": ("Check", "Verificación"),
    "report.points": ("Points", "Puntos"),
    "report.submission": ("Submission", "Entrega"),
    "report.sum": ("Total", "Total"),
    "report.likely": ("Likely cause: {cause}.", "Causa probable: {cause}."),
    "report.lost": ("What lost points", "Dónde se perdieron puntos"),
    "report.remarks": ("Remarks", "Observaciones"),
    "report.all_checks": ("All checks", "Todas las verificaciones"),
    "report.nothing_lost": ("Every check passed.", "Todas las verificaciones pasaron."),
    "report.human": (
        "Not graded here: {human} need a human eye, {trained} need a training (`--train`).",
        "No se califican aquí: {human} los debe mirar una persona; {trained} requieren entrenar "
        "(`--train`).",
    ),
    "report.human_only": (
        "Not graded here: {human} need a human eye.",
        "No se califican aquí: {human} los debe mirar una persona.",
    ),
    "report.missing": ("Not handed in: {paths}.", "No se entregó: {paths}."),
    "report.copies": (
        "Graded files lie in other folders too, and were not looked at there: {paths}.",
        "También hay archivos a calificar en otras carpetas; esos no se miraron: {paths}.",
    ),
    "report.seed": (
        "Grading seed {seed}; the same seed gives the same inputs again.",
        "Semilla de la calificación: {seed}; con la misma semilla se repiten las entradas.",
    ),
    "report.refused": ("not judged: {why}", "no evaluada: {why}"),
    "report.passed": ("passed", "pasó"),
    "report.failed": ("failed", "falló"),
    "report.unimplemented": ("not implemented", "no implementado"),
    "report.no_answer": ("no answer", "sin respuesta"),
    "report.guards_all": (
        "Isolation: limits on time, memory and files, no network, no new processes.",
        "Aislamiento: límites de tiempo, memoria y archivos, sin red, sin procesos nuevos.",
    ),
    "report.guards_missing": (
        "Isolation: this platform does not give {missing}; grade only code you would run "
        "yourself.",
        "Aislamiento: en esta plataforma falta {missing}; califique solo código que usted mismo "
        "ejecutaría.",
    ),
    "guard.memory": ("the limit on memory", "el límite de memoria"),
    "guard.file size": ("the limit on file sizes", "el límite de tamaño de archivos"),
    "guard.read-only files": ("read-only files", "la protección de los archivos contra escritura"),
    "guard.network": ("a closed network", "el bloqueo de la red"),
    "guard.processes": ("the ban on new processes", "la prohibición de procesos nuevos"),
    "report.trainings": ("Trainings", "Entrenamientos"),
    "train.short": (
        "A short training by this project's loop, evaluated by this project. Asked is what its "
        "own code reaches so; these numbers give no points here.",
        "Entrenamiento breve con el bucle de este proyecto, que también lo evalúa. Se pide lo que"
        " así alcanza su propio código; estos números no dan puntos aquí.",
    ),
    "train.full": (
        "The assignment's training by this project's loop, evaluated by this project. Asked are "
        "the assignment's bands, which right code can miss by chance; these numbers give no "
        "points here.",
        "Entrenamiento de la consigna con el bucle de este proyecto, que también lo evalúa. Se "
        "piden las bandas de la consigna, fuera de las cuales un código correcto puede quedar por"
        " azar; estos números no dan puntos aquí.",
    ),
    "train.band": (
        "{name} = {value} (asked: {low} to {high})",
        "{name} = {value} (se pide: de {low} a {high})",
    ),
    "report.loose": (
        "{path}: nobody's, and not looked at: {files}",
        "{path}: no son de nadie y no se miraron: {files}",
    ),
    "report.written": (
        "{folder}: grades.csv and one feedback file per submission",
        "{folder}: grades.csv y un archivo de comentarios por entrega",
    ),
}  # fmt: skip

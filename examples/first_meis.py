"""From a recording to most exciting images in Python, and what the animal says to them; no workflow engine.

``python examples/first_meis.py`` takes a minute. A simulated animal is recorded, small networks learn its
responses, the best-predicted cells get their MEI, and the animal's true cells answer to these and to the best
of its natural images. With a recording of your own, put ``il.import_recording`` in place of the animal.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

import inception_loop as il
from inception_loop.animals.recorded import open_animal

NETWORK = {"core": {"type": "GaussianLaplace", "hidden_channels": 8, "input_kern": 11, "hidden_kern": 5}}


def main(
    uri: str = "memory://first-meis", *, cells: int = 80, trials: int = 1000, epochs: int = 6, wanted: int = 6
) -> pl.DataFrame:
    """Record, train, synthesise; return a row a cell: its answers to its MEI and its best natural image."""
    store = il.open_store(uri)
    animal = il.SimulatedConfig(n_units=cells, seed=1)
    day = il.AnimalDayConfig(
        scan=il.ScanKey(animal_id=1, session=1, scan_idx=1),
        animal=animal,
        session=il.NaturalSessionConfig(n_train=trials, n_repeated=20, repeats=8),
    )
    recording, truth = il.make_recorded_day(store, day)
    made = il.make_dataset(store, il.DatasetConfig(group_id=0), [recording.ref])
    dataset = made["static_multi_dataset"][0].ref
    (name,) = store.table(dataset, "members")["name"]

    # Two seeds of one small network; a second run of this script on a store on disk finds them there.
    train = il.TrainConfig(
        learning_rates=(0.01,), max_epoch=epochs, batch_size=30, start_positions="responses"
    )
    network = il.CorePlusReadout(**NETWORK, gain="after")
    models = [il.ModelConfig(group_id=0, network=network, train=train, seed=seed) for seed in (1, 2)]
    done = il.populate(store, models, dataset=dataset)
    refs = list(done.models.values())
    for ref in refs:
        print(f"{ref}: validation correlation {store.manifest(ref).findings['val_corr']:.3f}")

    # The cells that the ensemble predicts best, by their own single-trial correlation on the training images.
    ensemble = il.load_ensemble(store, refs, name)
    member = il.load_member(store, dataset, name, models[0].data)
    rows = member.trials_of("train")
    with torch.no_grad():
        shown = torch.from_numpy(np.array(member.frames[member.frame_row[rows]]))
        predicted = ensemble(shown, torch.arange(member.responses.shape[1])).numpy()
    recorded = member.responses[rows]
    fit = [np.corrcoef(predicted[:, unit], recorded[:, unit])[0, 1] for unit in range(recorded.shape[1])]
    best = [int(unit) for unit in np.argsort(fit)[::-1][:wanted]]

    found = il.synthesize_meis(ensemble, best, gains=20)

    # What a rig would show the next day, the digital animal can be asked now, all at one mean and contrast.
    meis = found.ascent.images.numpy()
    mean, contrast = float(meis[0].mean()), float(meis[0].std())
    natural = np.unique(np.array(member.frames), axis=0)
    spread = natural.std((1, 2), keepdims=True)
    natural = ((natural - natural.mean((1, 2), keepdims=True)) * contrast / spread + mean)[spread.ravel() > 1]
    mouse = open_animal(animal)
    cells_of_day = store.table(truth.ref, "units").filter(pl.col("cell_id") >= 0)["unit_id"].sort()
    true_cell = np.searchsorted(cells_of_day.to_numpy(), member.units["unit_id"].to_numpy())
    to_meis, to_natural = (mouse.respond(images.astype(np.float32)) for images in (meis, natural))
    answers = pl.DataFrame(
        {
            "unit_id": member.units["unit_id"].gather(best),
            "own MEI": [float(to_meis[row, true_cell[unit]]) for row, unit in enumerate(best)],
            "best natural image": [float(to_natural[:, true_cell[unit]].max()) for unit in best],
        }
    )
    print(answers)
    return answers


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

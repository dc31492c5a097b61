import torch
import torchvision

from i2i.losses.perceptual import VGG_WEIGHTS, perceptual
from i2i.networks.vgg import VGG19Features


def test_features_are_those_of_torchvision_at_the_five_published_layers():
    torch.manual_seed(0)
    with torch.device("meta"):
        theirs = torchvision.models.vgg19(weights=None).features
    theirs = theirs.to_empty(device="cpu")
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, 0, 0.05)
    ours = VGG19Features()
    weights = {f"features.{key}": value for key, value in theirs.state_dict().items()}
    missing = ours.load_state_dict(weights, strict=False).missing_keys
    assert not missing
    image = 2 * torch.rand(1, 3, 32, 48) - 1
    expected, features = [], image
    for number, layer in enumerate(theirs):
        layer.inplace = False
        features = layer(features)
        if number in (1, 6, 11, 20, 29):  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
            expected.append(features)
    found = ours(image)
    assert len(found) == len(VGG_WEIGHTS)
    for our, their in zip(found, expected, strict=True):
        torch.testing.assert_close(our, their)


def test_the_term_moves_the_images_and_nothing_else():
    torch.manual_seed(0)
    network = VGG19Features(width=4)
    images, targets = torch.rand(2, 3, 16, 16, requires_grad=True), torch.rand(2, 3, 16, 16)
    loss = perceptual(network, images, targets)
    loss.backward()
    assert loss.item() > 0
    assert images.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
    assert perceptual(network, targets, targets).item() == 0

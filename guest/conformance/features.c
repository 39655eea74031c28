// SPDX-License-Identifier: MIT
/* C15-C25, C45: feature negotiation (virtio 1.2, 2.2, 3.1, 4.1.4.3, 6). */
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define FEATURE_NOTIFICATION_DATA 38
#define FEATURE_NOTIF_CONFIG_DATA 39
#define FEATURE_ADMIN_VQ 41
/* Of the network, but not in every linux/virtio_net.h. */
#define FEATURE_GUEST_USO4 54
#define FEATURE_GUEST_USO6 55
#define FEATURE_HOST_USO 56
#define CONFIG_BYTES_MAX 64

struct dependency {
	uint16_t type;
	uint8_t bit, needs;
};

/* "X requires Y" of 5.1.3.1, for devices and drivers; 5.2.5.2 binds the device alone. */
static const struct dependency dependencies[] = {
	{ VIRTIO_ID_NET, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_ID_NET, FEATURE_GUEST_USO4, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_ID_NET, FEATURE_GUEST_USO6, VIRTIO_NET_F_GUEST_CSUM },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_CSUM },
	{ VIRTIO_ID_NET, FEATURE_HOST_USO, VIRTIO_NET_F_CSUM },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_ID_NET, VIRTIO_NET_F_RSS, VIRTIO_NET_F_CTRL_VQ },
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH },
};

static void c15_to_c17_and_c45_offer(struct virtio_device *device)
{
	static const uint32_t selects[] = { 2, 3, 0xffffffff };
	bool none = true;

	ok(device->offered & BIT64(VIRTIO_F_VERSION_1), "C15 %s: VERSION_1 is offered",
	   device->name);
	ok(!(device->offered & (BIT64(VIRTIO_F_SR_IOV) | BIT64(FEATURE_ADMIN_VQ))),
	   "C16 %s: neither SR_IOV nor ADMIN_VQ is", device->name);
	ok(!(device->offered &
	     (BIT64(FEATURE_NOTIFICATION_DATA) | BIT64(FEATURE_NOTIF_CONFIG_DATA))),
	   "C45 %s: a doorbell takes an index alone, and says so", device->name);
	for (unsigned i = 0; i < ARRAY_COUNT(selects); i++) {
		common_write32(device, VIRTIO_PCI_COMMON_DFSELECT, selects[i]);
		none = none && common_read32(device, VIRTIO_PCI_COMMON_DF) == 0;
	}
	ok(none, "C17 %s: there are no features in windows 2 and above", device->name);
}

static void c18_windows(struct virtio_device *device)
{
	uint64_t features = virtio_usual_features(device);
	bool apart;

	virtio_reset(device);
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_accept(device, features);
	ok(virtio_accepted(device) == features, "C18 %s: driver_feature reads back: %lx of %lx",
	   device->name, virtio_accepted(device), features);
	common_write32(device, VIRTIO_PCI_COMMON_DFSELECT, 0);
	common_write32(device, VIRTIO_PCI_COMMON_GFSELECT, 1);
	apart = common_read32(device, VIRTIO_PCI_COMMON_DFSELECT) == 0 &&
		common_read32(device, VIRTIO_PCI_COMMON_GFSELECT) == 1 &&
		common_read32(device, VIRTIO_PCI_COMMON_DF) == (uint32_t)device->offered;
	ok(apart, "C18 %s: the two selects are apart", device->name);
	virtio_reset(device);
}

static void c19_c20_dependencies(struct virtio_device *device)
{
	for (unsigned i = 0; i < ARRAY_COUNT(dependencies); i++) {
		const struct dependency *dependency = &dependencies[i];

		if (dependency->type != device->type || !(device->offered & BIT64(dependency->bit)))
			continue;
		ok(device->offered & BIT64(dependency->needs),
		   "C19 %s: feature %u is offered with %u", device->name, dependency->bit,
		   dependency->needs);
		if (dependency->type == VIRTIO_ID_BLOCK)
			continue;
		ok(!virtio_negotiate(device, BIT64(dependency->bit)),
		   "C20 %s: feature %u without %u is refused", device->name, dependency->bit,
		   dependency->needs);
	}
}

static void c20_c21_refusals(struct virtio_device *device)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint64_t accepted = 0;

	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(device->offered & BIT64(bit)) && virtio_negotiate(device, BIT64(bit)))
			accepted |= BIT64(bit);
	}
	if (!ok(!accepted, "C20 %s: what is not offered is refused", device->name))
		note("%s: features %lx were accepted, each alone", device->name, accepted);
	virtio_reset(device);
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(device, status);
	virtio_accept(device, 0);
	virtio_set_status(device, status | VIRTIO_CONFIG_S_FEATURES_OK);
	ok(!(virtio_status(device) & VIRTIO_CONFIG_S_FEATURES_OK),
	   "C21 %s: a driver without VERSION_1 is refused", device->name);
	virtio_reset(device);
}

static void c22_to_c24_accepted(struct virtio_device *device)
{
	uint64_t features = virtio_usual_features(device);

	ok(virtio_negotiate(device, features) && virtio_negotiate(device, features),
	   "C22 %s: what was accepted is so again after a reset", device->name);
	virtio_accept(device, 0);
	ok(virtio_accepted(device) == features &&
		   virtio_status(device) & VIRTIO_CONFIG_S_FEATURES_OK,
	   "C23 %s: after FEATURES_OK the features stay", device->name);
	virtio_reset(device);
	virtio_start(device, 0);
	ok(subject_works(device) && subject_works(device), "C24 %s: works with VERSION_1 alone",
	   device->name);
	virtio_reset(device);
}

static void c25_config(struct virtio_device *device)
{
	uint8_t before[CONFIG_BYTES_MAX];
	uint32_t bytes;
	bool same = true;

	if (!device->config)
		return;
	bytes = device->config->bytes < CONFIG_BYTES_MAX ? device->config->bytes : CONFIG_BYTES_MAX;
	virtio_reset(device);
	for (uint32_t i = 0; i < bytes; i++)
		before[i] = virtio_config_read8(device, i);
	virtio_start(device, virtio_usual_features(device));
	for (uint32_t i = 0; i < bytes; i++)
		same = same && before[i] == virtio_config_read8(device, i);
	ok(same, "C25 %s: before FEATURES_OK the configuration is what it is after DRIVER_OK",
	   device->name);
	virtio_reset(device);
}

static void test(struct virtio_device *device)
{
	c15_to_c17_and_c45_offer(device);
	c18_windows(device);
	c19_c20_dependencies(device);
	c20_c21_refusals(device);
	c22_to_c24_accepted(device);
	c25_config(device);
}

void guest_main(void)
{
	for_each_device(test);
}
